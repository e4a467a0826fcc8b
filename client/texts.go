package client

import (
	"context"

	"github.com/cqservicenow/cq-source-servicenow/client/spec"
	"github.com/cqservicenow/cq-source-servicenow/internal/attachment"
	"github.com/cqservicenow/cq-source-servicenow/internal/extract"
)

func (s *Sync) texts(spec.Attachments) attachment.Extractor { return stubTexts{} }

type stubTexts struct{}

func (stubTexts) Read(context.Context, string, string, string, int64) extract.Result {
	return extract.Result{Status: extract.Unsupported}
}
func (stubTexts) Reads(string, string) bool { return true }

package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	pb "github.com/cloudquery/plugin-pb-go/pb/plugin/v3"
	"github.com/cloudquery/plugin-sdk/v4/schema"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// reportsFailedWrites lists the destinations that fail a sync when a write fails. Those that are built on the SDK's batch
// writer log the error, and the sync succeeds without the rows.
func reportsFailedWrites(destination string) bool {
	return slices.Contains([]string{"postgresql", "file", "s3", "gcs", "azblob", "sqlite-embedded"}, destination)
}

// deletesRecords lists the destinations that honour the message that deletes a record; with any other a sync would fail.
func deletesRecords(destination string) bool {
	return slices.Contains([]string{"postgresql", "sqlite", "sqlite-embedded", "clickhouse"}, destination)
}

// destination asks which plugin the destination is: its own name, such as postgresql.
func (s *State) destination(ctx context.Context) (string, error) {
	conn, err := s.dial()
	if err != nil {
		return "", err
	}
	defer conn.Close()
	answer, err := pb.NewPluginClient(conn).GetName(ctx, &pb.GetName_Request{})
	if err != nil {
		return "", err
	}
	return answer.Name, nil
}

// rows reads a table of the destination.
func (s *State) rows(ctx context.Context, table *schema.Table, each func(arrow.RecordBatch) error) error {
	encoded, err := pb.SchemaToBytes(table.ToArrowSchema())
	if err != nil {
		return err
	}
	conn, err := s.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := pb.NewPluginClient(conn).Read(ctx, &pb.Read_Request{Table: encoded})
	if err != nil {
		return err
	}
	for {
		answer, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := eachBatch(answer.Record, each); err != nil {
			return err
		}
	}
}

func (s *State) dial() (*grpc.ClientConn, error) {
	const most = 100 << 20
	return grpc.NewClient(s.address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(most)))
}

// isStatus tells an answer of the backend from a fault in reading it.
func isStatus(err error) bool {
	_, ok := status.FromError(err)
	return ok
}

// eachBatch decodes an encoded record of the protocol.
func eachBatch(encoded []byte, each func(arrow.RecordBatch) error) error {
	reader, err := ipc.NewReader(bytes.NewReader(encoded))
	if err != nil {
		return fmt.Errorf("reading an answer of the state backend: %w", err)
	}
	defer reader.Release()
	for reader.Next() {
		if err := each(reader.RecordBatch()); err != nil {
			return err
		}
	}
	return reader.Err()
}

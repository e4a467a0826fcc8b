//go:build !unix

package e2e

import (
	"database/sql"
	"testing"
)

func demoInPostgreSQL(*testing.T, *sql.DB) *sql.DB { return nil }

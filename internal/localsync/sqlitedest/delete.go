package sqlitedest

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"

	"github.com/cloudquery/plugin-sdk/v4/message"
	"github.com/cloudquery/plugin-sdk/v4/schema"
)

const (
	// predicatesPerDelete keeps an OR chain below SQLite's depth limit of 1,000 terms.
	predicatesPerDelete = 500
	groupOr             = "OR"
)

func (c *Client) deleted(table string, rows int64) {
	if c.onDelete != nil && rows > 0 {
		c.onDelete(table, rows)
	}
}

func (c *Client) deleteStale(ctx context.Context, m *message.WriteDeleteStale) error {
	query := fmt.Sprintf("DELETE FROM %s WHERE %s = ? AND %s < ?",
		quote(m.TableName), quote(schema.CqSourceNameColumn.Name), quote(schema.CqSyncTimeColumn.Name))
	var n int64
	err := c.writing(ctx, func(tx *txn) (err error) {
		n, err = tx.execCount(query, m.SourceName, formatTimestamp(m.SyncTime, false))
		return err
	})
	if err != nil {
		return fmt.Errorf("deleting stale rows of %s: %w", m.TableName, err)
	}
	c.deleted(m.TableName, n)
	return nil
}

// deleteRecord deletes the rows that match, and before them the rows of related tables that hang on them.
func (c *Client) deleteRecord(ctx context.Context, m *message.WriteDeleteRecord) error {
	counts := map[string]int64{}
	err := c.writing(ctx, func(tx *txn) error {
		for _, where := range splitLargest(m.WhereClause) {
			cond, args, err := condition(where)
			if err != nil {
				return err
			}
			for _, d := range cascade(m.TableName, cond, m.TableRelations) {
				n, err := tx.execCount("DELETE FROM "+quote(d.table)+" WHERE "+d.where, args...)
				if err != nil {
					return fmt.Errorf("deleting rows of %s: %w", d.table, err)
				}
				counts[d.table] += n
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for table, n := range counts {
		c.deleted(table, n)
	}
	return nil
}

// splitLargest cuts the largest OR group into pieces. The groups are joined by AND, so deleting for each piece in turn
// deletes the same rows.
func splitLargest(groups message.PredicateGroups) []message.PredicateGroups {
	largest := -1
	for i, g := range groups {
		if g.GroupingType == groupOr && (largest < 0 || len(g.Predicates) > len(groups[largest].Predicates)) {
			largest = i
		}
	}
	if largest < 0 || len(groups[largest].Predicates) <= predicatesPerDelete {
		return []message.PredicateGroups{groups}
	}
	var out []message.PredicateGroups
	for rest := groups[largest].Predicates; len(rest) > 0; {
		n := min(predicatesPerDelete, len(rest))
		piece := append(message.PredicateGroups(nil), groups...)
		piece[largest] = message.PredicateGroup{GroupingType: groupOr, Predicates: rest[:n]}
		out = append(out, piece)
		rest = rest[n:]
	}
	return out
}

func condition(groups message.PredicateGroups) (string, []driver.Value, error) {
	var parts []string
	var args []driver.Value
	for _, g := range groups {
		var terms []string
		for _, p := range g.Predicates {
			if !strings.EqualFold(p.Operator, "eq") { // "EQ" when it came over gRPC
				return "", nil, fmt.Errorf("deleting rows: unknown operator %q", p.Operator)
			}
			if p.Record == nil || p.Record.NumCols() == 0 || p.Record.NumRows() == 0 {
				return "", nil, fmt.Errorf("deleting rows: the predicate on %s has no value", p.Column)
			}
			v, err := newValueReader(p.Record.Column(0))(0)
			if err != nil {
				return "", nil, fmt.Errorf("deleting rows: column %s: %w", p.Column, err)
			}
			terms = append(terms, quote(p.Column)+" IS ?") // IS also finds NULL
			args = append(args, v)
		}
		if len(terms) == 0 {
			continue
		}
		joiner := " AND "
		if g.GroupingType == groupOr {
			joiner = " OR "
		}
		parts = append(parts, "("+strings.Join(terms, joiner)+")")
	}
	if len(parts) == 0 {
		return "1", nil, nil
	}
	return strings.Join(parts, " AND "), args, nil
}

type deletion struct{ table, where string }

// cascade lists the deletions of table and everything below it, children first.
func cascade(table, where string, relations message.TableRelations) []deletion {
	var out []deletion
	for _, r := range relations {
		if r.ParentTable != table || r.TableName == table {
			continue
		}
		child := fmt.Sprintf("%s IN (SELECT %s FROM %s WHERE %s)",
			quote(schema.CqParentIDColumn.Name), quote(schema.CqIDColumn.Name), quote(table), where)
		out = append(out, cascade(r.TableName, child, relations)...)
	}
	return append(out, deletion{table, where})
}

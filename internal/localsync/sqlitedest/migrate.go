package sqlitedest

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cloudquery/plugin-sdk/v4/schema"
)

// MigrateError says that a table's change would lose rows, so that safe mode refuses it.
type MigrateError struct {
	Table   string
	Changes []string
}

func (e *MigrateError) Error() string {
	return fmt.Sprintf("table %s cannot be migrated without dropping it: %s", e.Table, strings.Join(e.Changes, "; "))
}

type column struct {
	name    string
	typ     string
	notNull bool
	pk      bool
}

func (col column) definition() string {
	d := quote(col.name) + " " + col.typ
	if col.notNull {
		d += " NOT NULL"
	}
	return d
}

// migration is what a table needs.
type migration struct {
	add     []column
	rebuild bool     // keep the rows, but under other keys or fewer NOT NULLs
	refuse  []string // what only dropping the table can do
}

func (c *Client) migrate(ctx context.Context, table *schema.Table, force bool) error {
	want := make([]column, 0, len(table.Columns))
	for _, col := range table.Columns {
		want = append(want, column{name: col.Name, typ: columnType(col.Type), notNull: col.NotNull, pk: col.PrimaryKey})
	}
	if len(want) == 0 {
		return nil
	}
	err := c.writing(ctx, func(tx *txn) error {
		have, err := tx.columns(table.Name)
		if err != nil {
			return err
		}
		if len(have) == 0 {
			return tx.create(table.Name, want)
		}
		m := compare(have, want)
		if len(m.add) == 0 && !m.rebuild && len(m.refuse) == 0 {
			return nil
		}
		if err := c.closeStatements(); err != nil {
			return err
		}
		if len(m.refuse) > 0 {
			if !force {
				return &MigrateError{Table: table.Name, Changes: m.refuse}
			}
			c.logger.Info().Str("table", table.Name).Strs("changes", m.refuse).Msg("dropping the table to migrate it")
			if err := tx.exec("DROP TABLE " + quote(table.Name)); err != nil {
				return err
			}
			return tx.create(table.Name, want)
		}
		for _, col := range m.add {
			if err := tx.exec("ALTER TABLE " + quote(table.Name) + " ADD COLUMN " + col.definition()); err != nil {
				return err
			}
		}
		if m.rebuild {
			return tx.rebuild(table.Name, append(have, m.add...), want)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("migrating table %s: %w", table.Name, err)
	}
	return nil
}

// compare decides between nothing, adding columns, rebuilding and refusing.
func compare(have, want []column) migration {
	var m migration
	toCqID := movesToCqID(have, want)
	for _, w := range want {
		i := slices.IndexFunc(have, func(h column) bool { return strings.EqualFold(h.name, w.name) })
		if i < 0 {
			switch {
			case w.pk && !toCqID:
				m.refuse = append(m.refuse, fmt.Sprintf("primary key column %s is new", w.name))
			case w.notNull:
				m.refuse = append(m.refuse, fmt.Sprintf("NOT NULL column %s is new", w.name))
			default:
				m.add = append(m.add, column{name: w.name, typ: w.typ})
			}
			continue
		}
		h := have[i]
		if h.typ != w.typ {
			m.refuse = append(m.refuse, fmt.Sprintf("column %s changes from %s to %s", w.name, h.typ, w.typ))
		}
		if h.pk != w.pk && !toCqID {
			m.refuse = append(m.refuse, fmt.Sprintf("column %s changes its part in the primary key", w.name))
		}
		if !h.notNull && w.notNull {
			m.refuse = append(m.refuse, fmt.Sprintf("column %s becomes NOT NULL", w.name))
		}
		if h.notNull && !w.notNull {
			m.rebuild = true
		}
	}
	for _, h := range have {
		if slices.ContainsFunc(want, func(w column) bool { return strings.EqualFold(h.name, w.name) }) {
			continue
		}
		if h.pk && !toCqID {
			m.refuse = append(m.refuse, fmt.Sprintf("primary key column %s is gone", h.name))
		}
		if h.notNull {
			m.rebuild = true // new rows have no value for it
		}
	}
	m.rebuild = m.rebuild || toCqID
	return m
}

// movesToCqID is the change that `pk_mode: cq-id-only` makes: every row already has its one new key.
func movesToCqID(have, want []column) bool {
	isKey := func(c column) bool { return c.pk }
	i := slices.IndexFunc(want, isKey)
	if i < 0 || want[i].name != schema.CqIDColumn.Name || slices.ContainsFunc(want[i+1:], isKey) {
		return false
	}
	if !slices.ContainsFunc(have, isKey) {
		return false
	}
	j := slices.IndexFunc(have, func(h column) bool { return h.name == schema.CqIDColumn.Name })
	return j >= 0 && !have[j].pk
}

func (t *txn) create(table string, columns []column) error {
	var defs, keys []string
	for _, col := range columns {
		defs = append(defs, col.definition())
		if col.pk {
			keys = append(keys, quote(col.name))
		}
	}
	if len(keys) > 0 {
		defs = append(defs, "PRIMARY KEY ("+strings.Join(keys, ",")+")")
	}
	return t.exec("CREATE TABLE " + quote(table) + " (" + strings.Join(defs, ",") + ")")
}

// rebuild copies the rows into a table as wanted. Columns that are no longer wanted stay, nullable.
func (t *txn) rebuild(table string, have, want []column) error {
	columns := slices.Clone(want)
	for _, h := range have {
		if !slices.ContainsFunc(want, func(w column) bool { return strings.EqualFold(h.name, w.name) }) {
			columns = append(columns, column{name: h.name, typ: h.typ})
		}
	}
	names := make([]string, len(columns))
	for i, col := range columns {
		names[i] = quote(col.name)
	}
	list := strings.Join(names, ",")
	next := table + "__next"
	if err := t.create(next, columns); err != nil {
		return err
	}
	for _, query := range []string{
		"INSERT INTO " + quote(next) + " (" + list + ") SELECT " + list + " FROM " + quote(table),
		"DROP TABLE " + quote(table),
		"ALTER TABLE " + quote(next) + " RENAME TO " + quote(table),
	} {
		if err := t.exec(query); err != nil {
			return err
		}
	}
	return nil
}

// columns returns the columns of a table in the database, none when it does not exist.
func (t *txn) columns(table string) ([]column, error) {
	rows, err := t.conn.QueryContext(context.Background(), `SELECT name, lower(type), "notnull", pk FROM pragma_table_info(?)`,
		[]driver.NamedValue{{Ordinal: 1, Value: table}})
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []column
	dest := make([]driver.Value, 4)
	for {
		if err := rows.Next(dest); err != nil {
			if errors.Is(err, io.EOF) {
				return out, nil
			}
			return nil, err
		}
		out = append(out, column{
			name:    fmt.Sprint(dest[0]),
			typ:     fmt.Sprint(dest[1]),
			notNull: dest[2] == int64(1),
			pk:      dest[3] != int64(0),
		})
	}
}

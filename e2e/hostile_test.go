//go:build unix

package e2e

import (
	"bytes"
	"database/sql"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
)

// hostileValues are what an instance may send as a field's value, as JSON, and what becomes of it in its column.
func hostileValues() [][2]string {
	return [][2]string{
		{`"nul\u0000byte"`, "nulbyte"},
		{`"lone\ud800 and \udfff surrogates"`, "lone\uFFFD and \uFFFD surrogates"},
		{"\"invalid\xff\xfeUTF-8\"", "invalid\uFFFDUTF-8"},
		{"\"raw\x00\x01control\"", "raw\x01control"},
		{`"\u0001\u001f\u007f\u0085\u2028\ufeff\uffff"`, "\u0001\u001f\u007f\u0085\u2028\ufeff\uffff"},
		{`["a",{"b":"\u0000"}]`, "NULL"},
		{strings.Repeat(`[`, 9000) + strings.Repeat(`]`, 9000), "NULL"},
		{strings.Repeat(`{"a":`, 400) + `1` + strings.Repeat(`}`, 400), "NULL"},
		{`1e400`, "1e400"},
		{`"twice","value":"second","value":"third"`, "second"},
		{`"` + strings.Repeat("long", 1<<18) + `"`, strings.Repeat("long", 1<<18)},
	}
}

// Hostile values reach real databases, or NULL, and every other row with them.
func TestHostileValuesInRealDestinations(t *testing.T) {
	tool(t, envCLI)
	start := func(t *testing.T) *world {
		t.Helper()
		w := newWorld(t, emulator.Config{Incidents: 1200, Attachments: -1})
		w.tables = []string{"servicenow_incidents"}
		for i, id := range w.SysIDs("incident")[:len(hostileValues())] {
			w.Update("incident", id, map[string]string{"short_description": fmt.Sprintf("<hostile %d>", i)})
		}
		between := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			r.Header.Del("Accept-Encoding")
			got := httptest.NewRecorder()
			w.ServeHTTP(got, r)
			for name, values := range got.Header() {
				rw.Header()[name] = values
			}
			rw.Header().Del("Content-Length")
			body := got.Body.Bytes()
			for i, v := range hostileValues() {
				body = bytes.ReplaceAll(body, fmt.Appendf(nil, `"<hostile %d>"`, i), []byte(v[0]))
			}
			rw.WriteHeader(got.Code)
			_, _ = rw.Write(body)
		}))
		t.Cleanup(between.Close)
		w.url = between.URL
		return w
	}
	requireValues := func(t *testing.T, w *world, query func(id string) (text string, found int)) {
		t.Helper()
		for i, id := range w.SysIDs("incident")[:len(hostileValues())] {
			text, found := query(id)
			require.Equal(t, 1, found)
			require.True(t, text == hostileValues()[i][1], "value %d arrived as %.100q", i, text)
		}
	}
	t.Run("sqlite", func(t *testing.T) {
		destination := tool(t, envSQLite)
		w := start(t)
		w.mustCLI(w.config("local", destination), "sync")
		require.Equal(t, "1200", w.value(`SELECT count(*) FROM servicenow_incidents`))
		requireValues(t, w, func(id string) (string, int) {
			rows := w.rows(`SELECT short_description FROM servicenow_incidents WHERE sys_id = ?`, id)
			return rows[0][0], len(rows)
		})
	})
	t.Run("postgresql", func(t *testing.T) {
		destination := tool(t, envPostgreSQL)
		w := start(t)
		w.database = "postgres://postgres@" + startPostgreSQL(t) + "/postgres?sslmode=disable"
		w.mustCLI(w.config("local", destination), "sync")
		db, err := sql.Open("pgx", w.database)
		require.NoError(t, err)
		defer db.Close()
		var rows int
		require.NoError(t, db.QueryRow(`SELECT count(*) FROM servicenow_incidents WHERE record->'number' IS NOT NULL`).Scan(&rows))
		require.Equal(t, 1200, rows)
		requireValues(t, w, func(id string) (string, int) {
			var text sql.NullString
			var found int
			require.NoError(t, db.QueryRow(`SELECT max(short_description), count(*) FROM servicenow_incidents WHERE sys_id = $1`, id).Scan(&text, &found))
			if !text.Valid {
				return "NULL", found
			}
			return text.String, found
		})
	})
}

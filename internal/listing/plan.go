package listing

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/cqservicenow/cq-source-servicenow/internal/dictionary"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// plan is a request, checked: which rows, and in which order.
type plan struct {
	kind     Kind
	table    string
	instance string
	query    servicenow.Query
	// picked are the config's sys_ids where they are too many for one request; nil otherwise.
	picked []string
	order  order
	fields []string
	parent string
}

// order is by one field, then by sys_id, which makes it total. Rows without a value come last either way.
type order struct {
	field      string
	descending bool
	// compare orders two stored values as the instance does; nil where that is up to its collation.
	compare func(a, b string) int
}

const (
	// mostIDs keeps a request with a list of ids well below the length that every proxy lets pass.
	mostIDs    = 100
	mostSearch = 100
	mostWords  = 8
	mostTypes  = 20
)

var (
	idForm     = regexp.MustCompile(`^[0-9a-zA-Z_-]{1,40}$`)
	fieldForm  = regexp.MustCompile(`^-?[a-z0-9_]{1,80}$`)
	formatForm = regexp.MustCompile(`^\.?[0-9a-zA-Z]{1,16}$`)
)

func (l *Lister) plan(ctx context.Context, r Request) (*plan, error) {
	p := &plan{kind: r.Kind, table: tableOf(r.Kind), instance: l.cfg.Instance}
	if err := r.check(); err != nil {
		return nil, err
	}
	narrowed, err := servicenow.ParseQuery(r.Query)
	if err != nil {
		var syntax *servicenow.QuerySyntaxError
		errors.As(err, &syntax)
		return nil, bad(fmt.Sprintf("clause %d of --query cannot be used: %s", syntax.Clause, syntax.Reason),
			"correct the clause; a list filter's Copy query in ServiceNow gives a correct one")
	}
	l.mu.Lock()
	err = l.cfg.Tables.CheckFields(ctx, p.table, "--query", narrowed.Fields())
	if err == nil {
		p.order, err = l.order(ctx, p.table, cmp.Or(r.Sort, "-sys_updated_on"))
	}
	l.mu.Unlock()
	if err != nil {
		return nil, err
	}
	search := []string{"number", "short_description"}
	p.fields = []string{"sys_id", "number", "short_description", "state", "sys_updated_on", p.order.field}
	if r.Kind == Attachment {
		parent, err := l.incident(ctx, r.Of)
		if err != nil {
			return nil, err
		}
		p.parent = parent
		p.query = servicenow.Where(servicenow.Clause{Field: "table_sys_id", Operator: "=", Value: parent}).And(anyOf("file_name", "ENDSWITH", dotted(r.Formats))...)
		search = []string{"file_name"}
		p.fields = []string{"sys_id", "file_name", "content_type", "size_bytes", "state", "sys_updated_on", p.order.field}
	} else {
		p.query = l.cfg.Query
		switch picked := l.cfg.Picked; {
		case picked == nil:
		case len(picked) <= mostIDs:
			p.query = p.query.And(in("sys_id", picked))
		default:
			p.picked = picked
		}
	}
	slices.Sort(p.fields)
	p.fields = slices.Compact(p.fields)
	p.query = p.query.AndQuery(narrowed)
	for _, word := range strings.Fields(r.Search) {
		for i, field := range search {
			p.query = p.query.And(servicenow.Clause{Or: i > 0, Field: field, Operator: "LIKE", Value: word})
		}
	}
	var named []servicenow.Clause
	if len(r.IDs) > 0 {
		named = append(named, in("sys_id", r.IDs))
	}
	if len(r.Numbers) > 0 {
		numbers := in("number", r.Numbers)
		numbers.Or = len(named) > 0
		named = append(named, numbers)
	}
	p.query = p.query.And(named...)
	return p, nil
}

func bad(what, next string) error { return usererror.New(CodeRequest, what, next) }

func (r Request) check() error {
	if len(r.IDs)+len(r.Numbers) > mostIDs {
		return bad(fmt.Sprintf("--ids and --numbers name more than %d items", mostIDs), "list them in parts, or write them into incidents.sys_ids of the config")
	}
	for _, id := range append(slices.Clone(r.IDs), r.Numbers...) {
		if !idForm.MatchString(id) {
			return bad("--ids and --numbers take sys_ids and numbers, and one of these is neither", "write them with commas in between, such as INC0010001,INC0010002")
		}
	}
	for _, format := range r.Formats {
		if !formatForm.MatchString(format) || len(r.Formats) > mostTypes {
			return bad(fmt.Sprintf("--format takes up to %d ends of file names", mostTypes), "write them with commas in between, such as pdf,docx")
		}
	}
	words := strings.Fields(r.Search)
	if len(r.Search) > mostSearch || len(words) > mostWords || slices.ContainsFunc(words, func(word string) bool { return !usable(word) }) {
		return bad("--search has a text that cannot be searched for", fmt.Sprintf("write up to %d words and %d characters, without control characters and scripts", mostWords, mostSearch))
	}
	if r.Limit < 0 {
		return bad("--limit is below 0", "write how many items to list; 0 lists all of them")
	}
	return nil
}

// usable reports whether a value means itself in an encoded query: a script would run, and NULL means empty.
func usable(value string) bool {
	lower := strings.ToLower(value)
	return value != "" && len(value) <= 255 && lower != "null" && !strings.Contains(lower, "javascript:") &&
		!strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// order checks that the field exists and that a listing can go on behind one of its values.
func (l *Lister) order(ctx context.Context, table, sort string) (order, error) {
	name, descending := strings.CutPrefix(sort, "-")
	if !fieldForm.MatchString(sort) {
		return order{}, usererror.New(CodeSort, "--sort does not name a field", "write a field of "+table+" such as number, or -opened_at for the latest first")
	}
	if err := l.cfg.Tables.CheckFields(ctx, table, "--sort", []string{name}); err != nil {
		return order{}, err
	}
	field, _ := l.cfg.Tables.Table(table).Field(name)
	o := order{field: name, descending: descending}
	var ok bool
	if o.compare, ok = comparison(field); !ok {
		return order{}, usererror.New(CodeSort, fmt.Sprintf("%s cannot be sorted by %s, a field of the type %s", table, name, cmp.Or(field.Type, "unknown")),
			"sort by a date-time, a number or a text; references, choices of texts, journals and lists are sorted by what they display, which a listing cannot go on from")
	}
	return o, nil
}

// comparison returns how the instance orders a field's values: nil for texts, whose order is the collation's, and false for
// types that it orders by something other than what they hold.
func comparison(f dictionary.Field) (func(a, b string) int, bool) {
	switch f.Type {
	case "glide_date_time", "glide_date", "due_date", "date", "datetime":
		return strings.Compare, true
	case "integer", "longint", "decimal", "float", "percent_complete", "order_index":
		return func(a, b string) int {
			x, errX := strconv.ParseFloat(strings.ReplaceAll(a, ",", ""), 64)
			y, errY := strconv.ParseFloat(strings.ReplaceAll(b, ",", ""), 64)
			if errX != nil || errY != nil {
				return 0
			}
			return cmp.Compare(x, y)
		}, true
	case "GUID":
		return func(a, b string) int { return strings.Compare(strings.ToUpper(a), strings.ToUpper(b)) }, true
	case "string", "char", "email", "phone_number_e164", "url", "translated_text":
		return nil, !f.Choice
	}
	return nil, false
}

// incident finds the sys_id of an incident by it or by the number, inside the config's selection.
func (l *Lister) incident(ctx context.Context, of string) (string, error) {
	none := usererror.New(CodeNoIncident, "there is no such incident among those that the config covers, or it is hidden from the signed-in user",
		"give a number or a sys_id that `list CONFIG incidents` prints")
	if !idForm.MatchString(of) {
		return "", none
	}
	q := l.cfg.Query.And(servicenow.Clause{Field: "sys_id", Operator: "=", Value: of}, servicenow.Clause{Or: true, Field: "number", Operator: "=", Value: of})
	list, err := l.cfg.ServiceNow.ListRecords(ctx, "incident", servicenow.ListOptions{
		Query: q.OrderBy("sys_id"), Fields: []string{"sys_id"}, Display: servicenow.Values, Limit: mostIDs,
	})
	if err != nil {
		return "", fmt.Errorf("finding the incident: %w", err)
	}
	for _, record := range list.Records {
		id, ok := record.Text("sys_id")
		if ok && (l.cfg.Picked == nil || slices.Contains(l.cfg.Picked, strings.ToLower(id))) {
			return id, nil
		}
	}
	return "", none
}

func in(field string, values []string) servicenow.Clause {
	return servicenow.Clause{Field: field, Operator: "IN", Value: strings.Join(values, ",")}
}

func anyOf(field, operator string, values []string) []servicenow.Clause {
	var clauses []servicenow.Clause
	for i, value := range values {
		clauses = append(clauses, servicenow.Clause{Or: i > 0, Field: field, Operator: operator, Value: value})
	}
	return clauses
}

func dotted(formats []string) []string {
	ends := make([]string, len(formats))
	for i, format := range formats {
		ends[i] = "." + strings.TrimPrefix(format, ".")
	}
	return ends
}

// fingerprint tells listings apart, so that no token is used for another one.
func (p *plan) fingerprint() string {
	sum := sha256.Sum256([]byte(strings.Join([]string{
		p.instance, string(p.kind), p.query.String(), strings.Join(p.picked, ","), p.order.field, strconv.FormatBool(p.order.descending),
	}, "\x00")))
	return hex.EncodeToString(sum[:8])
}

package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/cqservicenow/cq-source-servicenow/internal/auth"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// signInTimeout bounds the token endpoint's tries.
const signInTimeout = 45 * time.Second

// signIn gets a token and shows it to the Table API, which for basic and api_key is the only test there is.
func (e *examination) signIn(ctx context.Context) outcome {
	if e.cfg.AuthErr != nil {
		return failed(e.cfg.AuthErr, told(e.cfg.AuthErr), advised(e.cfg.AuthErr))
	}
	tokenCtx, cancel := context.WithTimeout(ctx, signInTimeout)
	defer cancel()
	if err := e.cfg.Auth.SignIn(tokenCtx); err != nil {
		return failed(err, told(err), advised(err))
	}
	began := time.Now()
	_, err := e.client.ListRecords(ctx, "incident", servicenow.ListOptions{Fields: []string{"sys_id"}, Display: servicenow.Values, Limit: 1})
	e.single = time.Since(began)
	if strings.HasPrefix(usererror.CodeOf(err), "SN-AUTH-") {
		return failed(err, told(err), advised(err))
	}
	token := e.cfg.Grant != auth.GrantBasic && e.cfg.Grant != auth.GrantAPIKey
	switch {
	case err != nil && !refused(err) && !token:
		return failed(err, "the sign-in could not be tried: "+told(err), advised(err))
	case err != nil && !refused(err):
		return ok("the instance gives a token for the grant " + e.cfg.Grant)
	case token:
		return ok("the instance gives a token for the grant " + e.cfg.Grant + ", and takes it")
	}
	return ok("the instance takes the sign-in " + e.cfg.Grant)
}

// user asks who is signed in, and for the time zone that scripts and display values are in.
func (e *examination) user(ctx context.Context) outcome {
	const next = "give the user read access to its own record in sys_user, or ignore this: stored values, which the sync reads, are in UTC in any case"
	list, err := e.client.ListRecords(ctx, "sys_user", servicenow.ListOptions{
		Query:  servicenow.Where(servicenow.Clause{Field: "user_name", Operator: "=", Value: "javascript:gs.getUserName()"}),
		Fields: []string{"user_name", "time_zone"}, Display: servicenow.Values, Limit: 2,
	})
	if err != nil {
		return outcome{state: Warning, seen: "the user's record cannot be read: " + told(err), next: next, err: err}
	}
	if len(list.Records) != 1 {
		return warning("the user's record cannot be told: it is hidden, or the instance evaluates no script in queries", next)
	}
	var row struct {
		Name string  `json:"user_name"`
		Zone *string `json:"time_zone"`
	}
	if err := json.Unmarshal(list.Records[0], &row); err != nil {
		return warning("the user's record has another form than expected", next)
	}
	name, zone, shows := row.Name, "", row.Zone != nil
	if shows {
		zone = *row.Zone
	}
	facts := map[string]any{"user": shown(name), "time_zone": shown(zone)}
	const set = "set Time zone to GMT in the user's record (User Administration > Users), so that what people see in ServiceNow as this user and what arrives agree; the sync itself reads stored values, which are UTC"
	switch {
	case !shows:
		return warning(fmt.Sprintf("signed in as %s, whose time zone is hidden", shown(name)), next).with(facts)
	case zone == "":
		return warning(fmt.Sprintf("signed in as %s, in the system's time zone (glide.sys.default.tz)", shown(name)), set).with(facts)
	case !isGMT(zone):
		return warning(fmt.Sprintf("signed in as %s, in the time zone %s", shown(name), shown(zone)), set).with(facts)
	}
	return ok(fmt.Sprintf("signed in as %s, in the time zone %s", shown(name), shown(zone))).with(facts)
}

func isGMT(zone string) bool {
	switch strings.ToUpper(zone) {
	case "GMT", "UTC", "ETC/GMT", "ETC/UTC", "ZULU", "UNIVERSAL":
		return true
	}
	return false
}

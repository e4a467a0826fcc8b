package emulator

import (
	"net/http"
	"strconv"
	"time"
)

const hibernationPage = `<!DOCTYPE html>
<html><head><title>Instance Hibernating page</title></head>
<body><p>Your instance is hibernating. Sign in to the developer site to wake it up.</p></body></html>
`

const cancelledMessage = "Transaction cancelled: maximum execution time exceeded"

const cancelledDetail = cancelledMessage + " Check logs for error trace or enable glide.rest.debug property to verify REST request processing"

// faultLimit is the limit per hour that a planned 429 announces: high, so that a client which keeps to it from then on
// is not slowed down by it. Config.RateLimit has a real one.
const faultLimit = 36000

// planFault finds the fault due at this request. It reports true when the fault was the whole answer;
// faults that spoil an ordinary answer stay in x.fault for the handlers.
func (x *exchange) planFault(tokenEndpoint bool) (answered bool) {
	fault, hit := x.e.faults.next(tokenEndpoint, x.route)
	if !hit {
		return false
	}
	x.fault = fault
	x.log.Fault = fault.Kind
	retryAfter := func(fallback int) {
		if seconds := max(fault.RetryAfter, fallback); seconds > 0 {
			x.w.Header().Set("Retry-After", strconv.Itoa(seconds))
		}
	}
	switch fault.Kind {
	case FaultHibernating, FaultTokenHibernating:
		x.begin(http.StatusOK, "text/html;charset=UTF-8").finish([]byte(hibernationPage))
	case FaultAccepted:
		x.w.WriteHeader(http.StatusAccepted)
	case FaultReset, FaultTokenReset:
		x.reset()
	case FaultTokenExpired:
		x.e.tokens.revoke(bearer(x.r))
		x.unauthorized()
	case FaultForbidden:
		x.fail(http.StatusForbidden, "Insufficient rights to query records", "")
	case FaultNotFound:
		x.fail(http.StatusNotFound, "No Record found", "Record doesn't exist or ACL restricts the record retrieval")
	case FaultPaginationURL:
		x.paginationURLTooLong()
	case FaultURITooLong:
		x.html(http.StatusRequestURITooLong, "Request-URI Too Large")
	case FaultRateLimited:
		retryAfter(1)
		x.rateLimitHeaders(faultLimit, x.e.now().Add(time.Duration(max(fault.RetryAfter, 1))*time.Second))
		x.rateLimited(faultLimit)
	case FaultQueueFull:
		x.fail(http.StatusTooManyRequests, "Too many requests", "")
	case FaultCancelled:
		x.fail(http.StatusInternalServerError, cancelledMessage, cancelledDetail)
	case FaultBadGateway:
		retryAfter(0)
		x.html(http.StatusBadGateway, "502 Bad Gateway")
	case FaultUnavailable, FaultTokenUnavailable:
		retryAfter(0)
		x.html(http.StatusServiceUnavailable, "503 Service Temporarily Unavailable")
	case FaultGatewayTimeout:
		x.html(http.StatusGatewayTimeout, "504 Gateway Time-out")
	default:
		return false
	}
	return true
}

func (x *exchange) paginationURLTooLong() {
	x.fail(http.StatusBadRequest, "the requested query is too long to build the response pagination header URLs",
		"Please reduce the length of the query or add sysparm_suppress_pagination_header=true to the request")
}

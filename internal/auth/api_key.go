package auth

import "net/http"

// apiKeyHeader is ServiceNow's header for API keys (configure-api-key.md).
func apiKeyHeader(key string) func(*http.Request) {
	return func(req *http.Request) { req.Header.Set("x-sn-apikey", key) }
}

func apiKeyRefused(*http.Response) advice {
	return advice{CodeAPIKeyRefused,
		"the instance refuses the API key",
		"check that the REST API Key record is active and bound to a user, that " + accountCauses + ", that an inbound " +
			"authentication profile reads the key from the header x-sn-apikey, and that each API the sync uses (Table, " +
			"Aggregate, Attachment) has a REST API Access Policy naming that profile: a global policy does not count for " +
			"API keys; the plugin com.glide.tokenbased_auth must be active"}
}

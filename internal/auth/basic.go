package auth

import "net/http"

// basicHeader is RFC 7617; ServiceNow: basic-authentication.md.
func basicHeader(username, password string) func(*http.Request) {
	return func(req *http.Request) { req.SetBasicAuth(username, password) }
}

func basicRefused(resp *http.Response) advice {
	if resp != nil && resp.Header.Get("X-Mfa_token") != "" { // c_RESTAPI.md: X-MFA_TOKEN: invalid
		return advice{CodeBasicRefused,
			"the instance asks this user for a second factor, which basic authentication cannot give in a sync",
			"use a grant with a token (client_credentials, jwt_bearer or a sign-in with login), or a user without a second factor"}
	}
	return advice{CodeBasicRefused,
		"the instance refuses the user name and password",
		"check the password before the next run, as repeated tries lock the account. If it is right, the instance " +
			"probably restricts basic authentication, which looks the same: the user must be Web service access only or " +
			"have the role snc_basic_auth_api_access (admin is not enough; see the system properties " +
			"glide.authenticate.basic_auth.restriction.enforce and .allowed_roles). Check too that " + accountCauses +
			", that it has a local password rather than single sign-on only, and that no REST API access policy demands " +
			"another way to sign in; better, move to the client_credentials grant"}
}

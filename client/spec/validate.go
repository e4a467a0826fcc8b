package spec

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
)

// contradictions returns what the JSON schema cannot say: choices that exclude or need each other.
func (s *Spec) contradictions() []Problem {
	var v validator
	if len(s.Instances) == 0 {
		v.instance("", &s.Instance)
		return v.problems
	}
	if s.InstanceSubdomain != "" {
		v.add("instance_subdomain", "with `instances`, write the address in each item")
	}
	if s.InstanceURL != "" {
		v.add("instance_url", "with `instances`, write the address in each item")
	}
	names := map[string]bool{}
	for i := range s.Instances {
		item := &s.Instances[i]
		path := fmt.Sprintf("instances[%d]", i)
		if item.Name != "" && names[item.Name] {
			v.add(path+".name", "this name stands twice in the list; give each item its own")
		}
		names[item.Name] = true
		v.instance(path+".", &item.Instance)
	}
	return v.problems
}

type validator struct{ problems []Problem }

func (v *validator) add(path, message string) {
	v.problems = append(v.problems, Problem{Path: path, Message: message})
}

func (v *validator) instance(prefix string, i *Instance) {
	v.address(prefix, i)
	v.auth(prefix+"auth.", &i.Auth)
	v.incidents(prefix+"incidents.", &i.Incidents)
	v.attachments(prefix+"attachments.", &i.Attachments)
	v.deletes(prefix, i)
	if i.Incidents.Record != RecordColumn && i.Attachments.BlobURL == "" {
		v.add(prefix+"incidents.record", "say in attachments.blob_url where the files go, or write column")
	}
}

func (v *validator) deletes(prefix string, i *Instance) {
	if i.Deletes == DeletesNone && i.SweepEvery != (Every{}) {
		v.add(prefix+"sweep_every", "nothing is swept with deletes: none; write deletes: sweep, or remove this key")
	}
}

func (v *validator) attachments(prefix string, a *Attachments) {
	switch {
	case a.BlobURL != "":
		v.blobURL(prefix+"blob_url", a.BlobURL)
	case a.Content == ContentBlob:
		v.add(prefix+"blob_url", "say where the files go, for example s3://my-bucket or file:///var/lib/servicenow; or write content: column")
	}
	if a.Content == ContentColumn && a.MaxSize > maxColumnSize {
		v.add(prefix+"max_size", "write 64MiB or less with content: column, since a row has to fit into one message; content: blob takes larger files")
	}
	for key, address := range map[string]string{"tika_url": a.TikaURL, "transcription_url": a.TranscriptionURL} {
		if address == "" {
			continue
		}
		u, err := url.Parse(address)
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
			v.add(prefix+key, "write a whole address, such as http://tika:9998")
		case u.User != nil:
			v.add(prefix+key, "leave user name and password out of the address")
		}
	}
	if a.TranscriptionKey != "" && a.TranscriptionURL == "" {
		v.add(prefix+"transcription_key", "say in transcription_url which service this key is for")
	}
}

func (v *validator) blobURL(at, raw string) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		v.add(at, "write an address such as s3://my-bucket, gs://my-bucket, azblob://my-container or file:///directory")
	case u.User != nil:
		v.add(at, "leave user name and password out of the address; credentials come from the environment")
	case u.Scheme == "file":
		if u.Host != "" || !strings.HasPrefix(u.Path, "/") || path.Clean(u.Path) == "/" {
			v.add(at, "write three slashes before an absolute directory, such as file:///var/lib/servicenow")
		}
	case u.Scheme != "s3" && u.Scheme != "gs" && u.Scheme != "azblob" || u.Host == "":
		v.add(at, "write an address such as s3://my-bucket, gs://my-bucket, azblob://my-container or file:///directory")
	}
}

var subdomainForm = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$`)

func (v *validator) address(prefix string, i *Instance) {
	switch {
	case i.InstanceSubdomain == "" && i.InstanceURL == "":
		v.add(prefix+"instance_subdomain", "say which instance to read: `example` for https://example.service-now.com, or `instance_url` for another address")
	case i.InstanceSubdomain != "" && i.InstanceURL != "":
		v.add(prefix+"instance_url", "use `instance_subdomain` or `instance_url`, not both")
	case i.InstanceSubdomain != "":
		if !subdomainForm.MatchString(i.InstanceSubdomain) {
			v.add(prefix+"instance_subdomain", "write only the part before .service-now.com, such as `example`; a whole address goes to `instance_url`")
		}
	default:
		v.instanceURL(prefix+"instance_url", i.InstanceURL)
	}
}

func (v *validator) instanceURL(path, raw string) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		v.add(path, "write a whole address such as https://itsm.example.com")
	case u.User != nil:
		v.add(path, "leave user name and password out of the address; they belong to `auth`")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		v.add(path, "write the address without path, query and fragment")
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
	case u.Scheme == "http":
		v.add(path, "plain http would show the sign-in to everybody on the way; write https (http is for loopback addresses)")
	default:
		v.add(path, "write an address that begins with https://")
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// grantKeys says which keys of `auth` a grant needs, and which others it can use.
func grantKeys(grant string) (needs, may []string) {
	switch grant {
	case GrantClientCredentials:
		return []string{"client_id", "client_secret"}, []string{"scope"}
	case GrantRefreshToken:
		return []string{"client_id", "refresh_token"}, []string{"client_secret", "access_token", "scope"}
	case GrantAuthorizationCode:
		return []string{"client_id"}, []string{"client_secret", "refresh_token", "access_token", "redirect_uri", "token_store", "scope"}
	case GrantPassword:
		return []string{"client_id", "client_secret", "username", "password"}, []string{"scope"}
	case GrantJWTBearer:
		return []string{"client_id", "subject"}, []string{"client_secret", "private_key", "private_key_file", "key_id", "scope"}
	case GrantBasic:
		return []string{"username", "password"}, nil
	case GrantAPIKey:
		return []string{"api_key"}, nil
	}
	return nil, nil
}

func (v *validator) auth(prefix string, a *Auth) {
	given := map[string]string{
		"client_id": a.ClientID, "client_secret": a.ClientSecret, "refresh_token": a.RefreshToken, "access_token": a.AccessToken,
		"username": a.Username, "password": a.Password, "private_key": a.PrivateKey, "private_key_file": a.PrivateKeyFile,
		"key_id": a.KeyID, "subject": a.Subject, "api_key": a.APIKey, "scope": a.Scope,
		"redirect_uri": a.RedirectURI, "token_store": a.TokenStore,
	}
	if a.GrantType == "" {
		v.add(prefix+"grant_type", "choose how to sign in, for example client_credentials; docs/_authentication.md compares the grants")
		return
	}
	needs, may := grantKeys(a.GrantType)
	if needs == nil {
		return // the schema has reported it
	}
	// An access token alone is a sign-in, for as long as the token lives.
	tokenOnly := a.AccessToken != "" && a.GrantType == GrantRefreshToken && a.RefreshToken == ""
	for _, key := range needs {
		if given[key] == "" && !tokenOnly {
			v.add(prefix+key, "the grant "+a.GrantType+" needs this key; an environment variable such as ${SERVICENOW_"+strings.ToUpper(key)+"} keeps it out of the file")
		}
	}
	for key, value := range given {
		if value != "" && !slices.Contains(needs, key) && !slices.Contains(may, key) {
			v.add(prefix+key, "the grant "+a.GrantType+" does not use this key; remove it or choose another grant")
		}
	}
	if a.GrantType == GrantJWTBearer {
		v.privateKey(prefix, a)
	}
}

func (v *validator) privateKey(prefix string, a *Auth) {
	switch {
	case a.PrivateKey == "" && a.PrivateKeyFile == "":
		v.add(prefix+"private_key_file", "the grant jwt_bearer needs a private key in PEM here, or in `private_key`")
	case a.PrivateKey != "" && a.PrivateKeyFile != "":
		v.add(prefix+"private_key_file", "use `private_key` or `private_key_file`, not both")
	case a.PrivateKeyFile != "":
		if _, err := os.Stat(a.PrivateKeyFile); err != nil {
			v.add(prefix+"private_key_file", "this file cannot be read; paths are relative to where the sync runs")
		}
	}
}

var (
	sysIDForm  = regexp.MustCompile(`^[0-9a-zA-Z_-]{1,32}$`)
	numberForm = regexp.MustCompile(`^[0-9a-zA-Z_-]{1,40}$`)
	fieldForm  = regexp.MustCompile(`^[a-z0-9_*]+$`)
)

func (v *validator) incidents(prefix string, i *Incidents) {
	var syntax *servicenow.QuerySyntaxError
	if _, err := servicenow.ParseQuery(i.Query); errors.As(err, &syntax) {
		v.add(prefix+"query", fmt.Sprintf("clause %d cannot be used: %s", syntax.Clause, syntax.Reason))
	}
	list := func(key string, values []string, form *regexp.Regexp, want string) {
		seen := map[string]bool{}
		for n, value := range values {
			path := fmt.Sprintf("%s%s[%d]", prefix, key, n)
			switch {
			case !form.MatchString(value):
				v.add(path, "write "+want)
			case seen[value]:
				v.add(path, "this stands twice in the list")
			}
			seen[value] = true
		}
	}
	list("sys_ids", i.SysIDs, sysIDForm, "a sys_id: 32 letters and digits")
	list("numbers", i.Numbers, numberForm, "a number such as INC0010001")
	list("fields", i.Fields, fieldForm, "the name of a field of incident, such as short_description, or a pattern such as u_*")
}

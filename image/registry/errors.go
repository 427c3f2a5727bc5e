package registry

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"unicode"

	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/berth-engine/berth/internal/fault"
)

// answer turns a refusing response into an error and closes it.
func answer(resp *http.Response) error {
	defer resp.Body.Close()
	st := &status{
		ErrorResponse: errcode.ErrorResponse{
			Method: resp.Request.Method, URL: resp.Request.URL, StatusCode: resp.StatusCode,
		},
		retryAfter: resp.Header.Get("Retry-After"),
	}
	var body struct {
		Errors errcode.Errors `json:"errors"`
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxHeader))
	if json.Unmarshal(text, &body) == nil {
		st.Errors = body.Errors
	}
	return st
}

// transient reports whether a failed connection is worth another try. Wrong
// certificates and names that do not exist stay as they are.
func transient(err error) bool {
	var cert *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var record tls.RecordHeaderError
	var dns *net.DNSError
	switch {
	case errors.As(err, &cert), errors.As(err, &unknown), errors.As(err, &record):
		return false
	case errors.As(err, &dns):
		return dns.IsTemporary || dns.IsTimeout
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return false
	}
	return true
}

// explain says in docker's words what went wrong and what to do.
func (r *Repo) explain(err error, ref string, tries int) error {
	var resp *errcode.ErrorResponse
	if !errors.As(err, &resp) {
		return r.explainNetwork(err, tries)
	}
	says := said(resp)
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fault.New(fault.Denied, "pull access denied for %s, repository does not exist or may require authorization%s: log in to %s (docker's config.json holds the credentials)", r.familiar(), says, r.host)
	case http.StatusNotFound:
		return r.unknown(resp, ref)
	case http.StatusTooManyRequests:
		return fault.New(fault.Unavailable, "toomanyrequests: registry %s limits pulls%s: try later%s or log in (attempts: %d)", r.host, says, after(err), tries)
	}
	return fault.New(fault.Unavailable, "registry %s answered %d %s to %s %s%s (attempts: %d)",
		r.host, resp.StatusCode, http.StatusText(resp.StatusCode), resp.Method, resp.URL.Redacted(), says, tries)
}

func after(err error) string {
	var st *status
	if errors.As(err, &st) && st.retryAfter != "" {
		return fmt.Sprintf(" (it asks to wait until or for %s)", clean(st.retryAfter))
	}
	return ""
}

// unknown tells a missing blob, tag and repository apart.
func (r *Repo) unknown(resp *errcode.ErrorResponse, ref string) error {
	sep := ":"
	if strings.Contains(ref, ":") {
		sep = "@"
	}
	for _, e := range resp.Errors {
		switch e.Code {
		case errcode.ErrorCodeNameUnknown:
			return fault.New(fault.NotFound, "repository %s not found: name unknown: check the spelling; a private one needs a login to %s", r.familiar(), r.host)
		case errcode.ErrorCodeBlobUnknown:
			return fault.New(fault.NotFound, "blob %s of %s not found: blob unknown to registry", ref, r.familiar())
		}
	}
	if strings.Contains(resp.URL.Path, "/blobs/") {
		return fault.New(fault.NotFound, "blob %s of %s not found: blob unknown to registry", ref, r.familiar())
	}
	return fault.New(fault.NotFound, "manifest for %s%s%s not found: manifest unknown", r.familiar(), sep, ref)
}

func (r *Repo) explainNetwork(err error, tries int) error {
	for _, ours := range []fault.Kind{fault.Denied, fault.Invalid, fault.Damaged, fault.Unavailable} {
		if errors.Is(err, ours) {
			return err
		}
	}
	if strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return fault.New(fault.Unavailable, "registry %s speaks plain HTTP: list it as insecure if that is meant", r.host)
	}
	return fault.New(fault.Unavailable, "cannot reach registry %s: %w (attempts: %d)", r.host, err, tries)
}

// familiar is the repository's name as the user knows it.
func (r *Repo) familiar() string {
	if r.host == "docker.io" {
		return strings.TrimPrefix(r.name, "library/")
	}
	return r.host + "/" + r.name
}

// said is what the registry itself says, if it does.
func said(resp *errcode.ErrorResponse) string {
	if len(resp.Errors) == 0 {
		return ""
	}
	e := resp.Errors[0]
	return ": " + clean(errcode.Error{Code: e.Code, Message: e.Message}.Error())
}

// clean makes foreign text fit for a terminal and short.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "..."
	}
	return s
}

package registry

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/berth-engine/berth/internal/fault"
)

// maxRedirects and maxHeader bound what an answer may make us do.
const (
	maxRedirects = 10
	maxHeader    = 64 << 10
)

// newTransport is a pool of its own, so that closing a Repo closes its
// connections. Bodies come as they are: no transparent decompression.
func newTransport(stall time.Duration) http.RoundTripper {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:    15 * time.Second,
		ResponseHeaderTimeout:  stall,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        30 * time.Second,
		MaxIdleConnsPerHost:    8,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
		ReadBufferSize:         64 << 10,
	}
}

// checkRedirect follows a bounded number of redirects and none from https to
// http.
func (r *Repo) checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return fault.New(fault.Unavailable, "registry %s redirects in a circle (%d times)", r.host, len(via))
	}
	if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return fault.New(fault.Denied, "registry %s redirects from https to %s://%s: refused", r.host, req.URL.Scheme, req.URL.Host)
	}
	return nil
}

// guard is the last thing before the wire. A request that does not go to the
// registry itself is either a redirected one, which carries no credentials, or
// asks a token server, which gets them only when it belongs to the registry.
// It does not rely on oras or net/http to have done the same.
type guard struct {
	base http.RoundTripper
	repo *Repo
}

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if g.home(req.URL) {
		return g.base.RoundTrip(req)
	}
	if req.Response == nil && g.trustedRealm(req.URL) {
		return g.base.RoundTrip(req)
	}
	if req.Method == http.MethodPost {
		return nil, fault.New(fault.Denied, "registry %s wants its login sent to %s, which does not belong to it: refused", g.repo.host, req.URL.Host)
	}
	if req.Header.Get("Authorization") != "" {
		req = req.Clone(req.Context())
		req.Header.Del("Authorization")
	}
	return g.base.RoundTrip(req)
}

// home reports whether u is the registry that the user named.
func (g *guard) home(u *url.URL) bool {
	return u.Scheme == g.repo.scheme() && withPort(u.Host, u.Scheme) == withPort(g.repo.api, u.Scheme)
}

// trustedRealm reports whether a token server may see the registry's login:
// it speaks https and is under the same registrable domain. A plain-HTTP
// registry's own host name is trusted too; there is nothing left to protect.
func (g *guard) trustedRealm(u *url.URL) bool {
	ours := strings.ToLower((&url.URL{Host: g.repo.api}).Hostname())
	theirs := strings.ToLower(u.Hostname())
	if u.Scheme != "https" && (!g.repo.plain.Load() || theirs != ours) {
		return false
	}
	return theirs == ours || sameSite(ours, theirs)
}

func sameSite(a, b string) bool {
	if isAddr(a) || isAddr(b) {
		return false
	}
	da, err := publicsuffix.EffectiveTLDPlusOne(a)
	if err != nil {
		return false
	}
	db, err := publicsuffix.EffectiveTLDPlusOne(b)
	return err == nil && da == db
}

func isAddr(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

func withPort(host, scheme string) string {
	host = strings.ToLower(host)
	if (&url.URL{Host: host}).Port() != "" {
		return host
	}
	if scheme == "http" {
		return host + ":80"
	}
	return host + ":443"
}

// isLoopback reports whether host (with or without port) is this machine by
// name or address.
func isLoopback(host string) bool {
	name := (&url.URL{Host: host}).Hostname()
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(name)
	return err == nil && a.Unmap().IsLoopback()
}

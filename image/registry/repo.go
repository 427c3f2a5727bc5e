package registry

import (
	"context"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/berth-engine/berth/internal/fault"
)

// Options says how to reach a registry. The zero value is docker's behaviour.
type Options struct {
	// PlainHTTP names the hosts (with port) that are spoken to without TLS.
	// nil means loopback addresses and localhost only.
	PlainHTTP func(host string) bool
	// Credential finds the login for a host; nil reads docker's config file.
	Credential auth.CredentialFunc
	// Stall is how long a connection may give (almost) nothing before it
	// counts as broken; 0 means 30 seconds.
	Stall time.Duration
	// Attempts bounds the tries of one request, and of one blob without
	// progress; 0 means 5.
	Attempts int
	// Transport replaces the connection pool, for tests.
	Transport http.RoundTripper
}

// Repo is one repository of one registry. Several goroutines may use it.
type Repo struct {
	host, name string // as the user wrote them: docker.io, library/alpine
	api        string // host that serves the API: registry-1.docker.io
	plain      atomic.Bool
	mayFlip    bool // loopback by default: plain HTTP is a guess
	stall      time.Duration
	attempts   int
	auth       *auth.Client
	transport  http.RoundTripper
	guard      *guard
	wait       func(context.Context, time.Duration) error
}

// Open prepares to talk to the repository name at host. It sends nothing.
func Open(host, name string, o Options) (*Repo, error) {
	if _, err := url.Parse("https://" + host + "/v2/" + name); err != nil || host == "" || name == "" {
		return nil, fault.New(fault.Invalid, "registry %q, repository %q: not a name of an image", host, name)
	}
	r := &Repo{
		host: host, name: name, api: host,
		stall: o.Stall, attempts: o.Attempts,
		transport: o.Transport, wait: sleep,
	}
	if host == "docker.io" {
		r.api = "registry-1.docker.io"
	}
	if r.stall == 0 {
		r.stall = 30 * time.Second
	}
	if r.attempts == 0 {
		r.attempts = 5
	}
	if r.transport == nil {
		r.transport = newTransport(r.stall)
	}
	if o.PlainHTTP != nil {
		r.plain.Store(o.PlainHTTP(host))
	} else if isLoopback(host) {
		r.plain.Store(true)
		r.mayFlip = true
	}
	if o.Credential == nil {
		o.Credential = dockerCredential()
	}
	r.guard = &guard{base: r.transport, repo: r}
	r.auth = &auth.Client{
		Client:     &http.Client{Transport: r.guard, CheckRedirect: r.checkRedirect},
		Credential: o.Credential,
		Cache:      auth.NewCache(),
		ClientID:   "berth",
		Header:     http.Header{"User-Agent": {"berth"}},
	}
	return r, nil
}

// Close ends idle connections.
func (r *Repo) Close() error {
	if t, ok := r.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
	return nil
}

func (r *Repo) scheme() string {
	if r.plain.Load() {
		return "http"
	}
	return "https"
}

func (r *Repo) url(kind, ref string) string {
	return r.scheme() + "://" + r.api + "/v2/" + r.name + "/" + kind + "/" + ref
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

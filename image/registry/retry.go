package registry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	oras "oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/berth-engine/berth/internal/fault"
)

// maxRetryAfter is the longest wait that a registry may ask for. Who asks for
// more gets an error at once: the user decides better than we do.
const maxRetryAfter = time.Minute

// do sends one request, with its login, until it is answered by something
// that trying again would not change. The caller closes the body. Answers
// other than want come back as errors.
func (r *Repo) do(ctx context.Context, method, kind, ref string, head http.Header, want ...int) (*http.Response, error) {
	ctx = auth.AppendRepositoryScope(ctx, oras.Reference{Registry: r.api, Repository: r.name}, auth.ActionPull)
	attempts := r.attempts
	if method == http.MethodHead {
		attempts = 1 // only a hint, the GET after it is the one that counts
	}
	for n := 1; ; n++ {
		resp, err := r.once(ctx, method, kind, ref, head)
		if err == nil {
			for _, code := range want {
				if resp.StatusCode == code {
					return resp, nil
				}
			}
			err = answer(resp)
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		pause, again := backoff(n, err)
		if !again || n >= attempts {
			return nil, r.explain(err, ref, n)
		}
		if err := r.wait(ctx, pause); err != nil {
			return nil, err
		}
	}
}

func (r *Repo) once(ctx context.Context, method, kind, ref string, head http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, r.url(kind, ref), nil)
	if err != nil {
		return nil, err
	}
	req.Header = head.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	resp, err := r.auth.Do(req)
	if err == nil && resp.StatusCode == http.StatusBadRequest && r.flip(resp) {
		return r.once(ctx, method, kind, ref, head)
	}
	return resp, err
}

// flip turns from http to https when a loopback registry turns out to speak
// TLS: http was only our guess.
func (r *Repo) flip(resp *http.Response) bool {
	if !r.mayFlip || !r.plain.Load() {
		return false
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 512))
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(text))
	if !bytes.Contains(text, []byte("HTTPS server")) {
		return false
	}
	r.plain.Store(false)
	return true
}

// status is an answer that is an error, with what the registry says about it.
type status struct {
	errcode.ErrorResponse
	retryAfter string
}

func (s *status) Error() string { return s.ErrorResponse.Error() }

// Unwrap lets errors.As find the registry's own codes.
func (s *status) Unwrap() error { return &s.ErrorResponse }

// backoff decides whether the n-th attempt is worth another one, and when.
func backoff(n int, err error) (time.Duration, bool) {
	var st *status
	var denied *errcode.ErrorResponse
	code := 0
	switch {
	case errors.As(err, &st):
		code = st.StatusCode
	case errors.As(err, &denied): // from the token server
		code = denied.StatusCode
	case errors.Is(err, fault.Denied), errors.Is(err, fault.Invalid), errors.Is(err, fault.Unavailable):
		return 0, false // refused by ourselves
	default:
		return pause(n), transient(err)
	}
	switch code {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
	default:
		return 0, false
	}
	if st != nil && st.retryAfter != "" {
		return parseRetryAfter(st.retryAfter, time.Now())
	}
	return pause(n), true
}

// parseRetryAfter reads seconds or an HTTP date; false when it asks for more
// than we are willing to wait.
func parseRetryAfter(s string, now time.Time) (time.Duration, bool) {
	d := time.Duration(0)
	if secs, err := strconv.ParseUint(strings.TrimSpace(s), 10, 32); err == nil {
		d = time.Duration(secs) * time.Second
	} else if at, err := http.ParseTime(s); err == nil {
		d = max(at.Sub(now), 0)
	} else if strings.Trim(s, "0123456789 ") == "" {
		return 0, false // digits beyond all measure
	}
	return d, d <= maxRetryAfter
}

// pause doubles from 200 ms, give or take a quarter so that many clients do
// not come back together.
func pause(n int) time.Duration {
	d := 200 * time.Millisecond << min(n-1, 6)
	return d*3/4 + rand.N(d/2)
}

package registry

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/fault"
)

var content = bytes.Repeat([]byte("0123456789abcdef"), 1000)

func blobDesc() ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(content), Size: int64(len(content))}
}

// open returns a Repo for a handler, without waits between attempts.
func open(t *testing.T, h http.HandlerFunc, o Options) (*Repo, *httptest.Server) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	if o.Credential == nil {
		o.Credential = func(context.Context, string) (auth.Credential, error) { return auth.EmptyCredential, nil }
	}
	r, err := Open(strings.TrimPrefix(srv.URL, "http://"), "app", o)
	if err != nil {
		t.Fatal(err)
	}
	r.wait = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	t.Cleanup(func() { r.Close() })
	return r, srv
}

func readBlob(t *testing.T, r *Repo) ([]byte, error) {
	t.Helper()
	rc, err := r.Open(t.Context(), blobDesc())
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return io.ReadAll(rc)
}

func TestBlobResumes(t *testing.T) {
	half := len(content) / 2
	for _, tt := range []struct {
		name string
		more func(w http.ResponseWriter, r *http.Request) // from the second request on
	}{
		{"by range", func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
		}},
		{"range ignored", func(w http.ResponseWriter, _ *http.Request) { w.Write(content) }},
		{"without length", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			w.Write(content)
		}},
		{"wrong range, then all", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") != "" {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes 3-%d/%d", len(content)-1, len(content)))
				w.WriteHeader(http.StatusPartialContent)
			}
			w.Write(content)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var n atomic.Int32
			r, _ := open(t, func(w http.ResponseWriter, req *http.Request) {
				if n.Add(1) > 1 {
					tt.more(w, req)
					return
				}
				w.Header().Set("Content-Length", fmt.Sprint(len(content)))
				w.Write(content[:half])
				panic(http.ErrAbortHandler) // reset in the middle
			}, Options{})
			got, err := readBlob(t, r)
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
}

func TestBlobGivesUp(t *testing.T) {
	for _, tt := range []struct {
		name    string
		serve   http.HandlerFunc
		kind    fault.Kind
		say     string
		atMost  int32
		atLeast int32
	}{
		{"always cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
			w.Write(content[:10])
			panic(http.ErrAbortHandler)
		}, fault.Unavailable, "attempts: ", 5, 5},
		{"other length", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(content)-1))
			w.Write(content[1:])
		}, fault.Damaged, "expected 16000 bytes", 1, 1},
		{"500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, fault.Unavailable, "answered 500", 5, 5},
		{"404", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, fault.NotFound, "blob unknown", 1, 1},
		{"403", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, fault.Denied, "pull access denied for", 1, 1},
		{"429", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(429)
			io.WriteString(w, `{"errors":[{"code":"TOOMANYREQUESTS","message":"slow \u001b[31mdown"}]}`)
		}, fault.Unavailable, "slow ?[31mdown", 5, 5},
		{"429 for an hour", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(429)
		}, fault.Unavailable, "3600", 1, 1},
		{"redirect circle", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path+"x", http.StatusFound) }, fault.Unavailable, "circle", 11, 10},
		{"large headers", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Big", strings.Repeat("a", 100<<10))
			w.Write(content)
		}, fault.Unavailable, "cannot reach", 5, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var n atomic.Int32
			r, _ := open(t, func(w http.ResponseWriter, req *http.Request) { n.Add(1); tt.serve(w, req) }, Options{})
			_, err := readBlob(t, r)
			if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.say) {
				t.Errorf("got %v (%v), want %v with %q", err, fault.KindOf(err), tt.kind, tt.say)
			}
			if n.Load() > tt.atMost || n.Load() < tt.atLeast {
				t.Errorf("%d requests, want %d to %d", n.Load(), tt.atLeast, tt.atMost)
			}
		})
	}
}

func TestStall(t *testing.T) {
	for _, tt := range []struct {
		name   string
		trickl bool
	}{{"silence", false}, {"a byte now and then", true}} {
		t.Run(tt.name, func(t *testing.T) {
			var n atomic.Int32
			r, _ := open(t, func(w http.ResponseWriter, req *http.Request) {
				if n.Add(1) > 1 {
					http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(content))
					return
				}
				w.Header().Set("Content-Length", fmt.Sprint(len(content)))
				w.Write(content[:100])
				for i := 100; req.Context().Err() == nil && i < 2000; i++ {
					w.(http.Flusher).Flush()
					if tt.trickl {
						w.Write(content[i : i+1])
					}
					select {
					case <-req.Context().Done():
					case <-time.After(20 * time.Millisecond):
					}
				}
			}, Options{Stall: 200 * time.Millisecond})
			got, err := readBlob(t, r)
			if err != nil || !bytes.Equal(got, content) || n.Load() != 2 {
				t.Errorf("%d bytes, %v, %d requests", len(got), err, n.Load())
			}
		})
	}
}

func TestRetryThenFine(t *testing.T) {
	for _, code := range []int{408, 429, 500, 502, 503, 504} {
		var n atomic.Int32
		r, _ := open(t, func(w http.ResponseWriter, _ *http.Request) {
			if n.Add(1) < 3 {
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(code)
				return
			}
			w.Write(content)
		}, Options{})
		if got, err := readBlob(t, r); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d: %d bytes, %v", code, len(got), err)
		}
	}
}

func TestManifestIsNamedByItsBytes(t *testing.T) {
	body := []byte(`{"schemaVersion":2}`)
	right := digest.FromBytes(body)
	for _, tt := range []struct {
		name, ref, header string
		err               error
	}{
		{"tag", "latest", right.String(), nil},
		{"no header", "latest", "", nil},
		{"header lies", "latest", digest.FromString("x").String(), fault.Damaged},
		{"other digest", digest.FromString("x").String(), right.String(), fault.Damaged},
		{"header is no digest", "latest", "sha256:zz", fault.Invalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, _ := open(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest+"; charset=utf-8")
				if tt.header != "" {
					w.Header().Set("Docker-Content-Digest", tt.header)
				}
				w.Write(body)
			}, Options{})
			d, _, err := r.Manifest(t.Context(), tt.ref)
			if !errors.Is(err, tt.err) {
				t.Fatalf("got %v, want %v", err, tt.err)
			}
			if err == nil && (d.Digest != right || d.MediaType != ocispec.MediaTypeImageManifest) {
				t.Errorf("got %+v", d)
			}
		})
	}
}

func TestManifestTooLarge(t *testing.T) {
	r, _ := open(t, func(w http.ResponseWriter, _ *http.Request) {
		chunk := bytes.Repeat([]byte(" "), 1<<20)
		for range 6 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}, Options{})
	if _, _, err := r.Manifest(t.Context(), "latest"); !errors.Is(err, fault.TooLarge) {
		t.Errorf("got %v, want limit exceeded", err)
	}
}

func secret(context.Context, string) (auth.Credential, error) {
	return auth.Credential{Username: "me", Password: "secret"}, nil
}

func TestRedirectCarriesNoCredentials(t *testing.T) {
	var seen atomic.Value
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.Header.Get("Authorization"))
		w.Write(content)
	}))
	defer other.Close()
	r, _ := open(t, func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") == "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(401)
			return
		}
		http.Redirect(w, req, other.URL+"/elsewhere", http.StatusTemporaryRedirect)
	}, Options{Credential: secret})
	if got, err := readBlob(t, r); err != nil || !bytes.Equal(got, content) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if seen.Load() != "" {
		t.Errorf("the other host saw %q", seen.Load())
	}
}

func TestTokenServer(t *testing.T) {
	var got atomic.Value
	got.Store("")
	r, srv := open(t, nil, Options{Credential: secret})
	srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.URL.Path == "/token":
			user, pass, _ := req.BasicAuth()
			got.Store(user + ":" + pass + " " + req.URL.Query().Get("scope"))
			io.WriteString(w, `{"token":"T"}`)
		case req.Header.Get("Authorization") != "Bearer T":
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+req.Host+`/token",service="s"`)
			w.WriteHeader(401)
		default:
			w.Write(content)
		}
	})
	if text, err := readBlob(t, r); err != nil || !bytes.Equal(text, content) {
		t.Fatalf("%d bytes, %v", len(text), err)
	}
	if got.Load() != "me:secret repository:app:pull" {
		t.Errorf("token server got %q", got.Load())
	}
}

// recorder stands for the wire.
type recorder struct{ req *http.Request }

func (c *recorder) RoundTrip(r *http.Request) (*http.Response, error) {
	c.req = r
	return &http.Response{StatusCode: 200, Body: http.NoBody, Request: r}, nil
}

func TestGuard(t *testing.T) {
	for _, tt := range []struct {
		name, host, to string
		method         string
		redirected     bool
		carries        bool
		err            error
	}{
		{"home", "registry.example.com", "https://registry.example.com/v2/", "GET", false, true, nil},
		{"home with port", "registry.example.com:443", "https://registry.example.com/v2/", "GET", false, true, nil},
		{"other port", "registry.example.com", "https://registry.example.com:8443/token", "GET", false, true, nil},
		{"same site realm", "registry.example.com", "https://auth.example.com/token", "GET", false, true, nil},
		{"same site redirect", "registry.example.com", "https://cdn.example.com/x", "GET", true, false, nil},
		{"docker", "docker.io", "https://auth.docker.io/token", "GET", false, true, nil},
		{"other site", "registry.example.com", "https://auth.example.net/token", "GET", false, false, nil},
		{"other site, login in the body", "registry.example.com", "https://auth.example.net/token", "POST", false, false, fault.Denied},
		{"public suffix", "a.github.io", "https://b.github.io/token", "GET", false, false, nil},
		{"country suffix", "registry.a.co.uk", "https://auth.b.co.uk/token", "GET", false, false, nil},
		{"plain realm", "registry.example.com", "http://auth.example.com/token", "GET", false, false, nil},
		{"downgraded home", "registry.example.com", "http://registry.example.com/v2/", "GET", false, false, nil},
		{"other address", "10.0.0.1:5000", "https://10.0.0.2/token", "GET", false, false, nil},
		{"loopback realm", "127.0.0.1:5000", "http://127.0.0.1:5001/token", "GET", false, true, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wire := &recorder{}
			r, err := Open(tt.host, "app", Options{Transport: wire})
			if err != nil {
				t.Fatal(err)
			}
			req, _ := http.NewRequestWithContext(t.Context(), tt.method, tt.to, nil)
			req.Header.Set("Authorization", "Basic c2VjcmV0")
			if tt.redirected {
				req.Response = &http.Response{}
			}
			resp, err := r.guard.RoundTrip(req)
			if !errors.Is(err, tt.err) {
				t.Fatalf("got %v, want %v", err, tt.err)
			}
			if err != nil {
				return
			}
			resp.Body.Close()
			if got := wire.req.Header.Get("Authorization") != ""; got != tt.carries {
				t.Errorf("carries credentials: %v, want %v", got, tt.carries)
			}
		})
	}
}

func TestDockerConfig(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	t.Setenv("PATH", dir)
	helper := "#!/bin/sh\nread host\necho '{\"ServerURL\":\"'$host'\",\"Username\":\"h\",\"Secret\":\"s\"}'\n"
	for name, text := range map[string]string{
		"docker-credential-good": helper,
		"docker-credential-bad":  "#!/bin/sh\necho broken >&2\nexit 3\n",
		"config.json": `{"auths":{"r.example:5000":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("u:p")) + `"},` +
			`"https://index.docker.io/v1/":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("d:q")) + `"}},` +
			`"credHelpers":{"good.example":"good","bad.example":"bad"}}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	find := dockerCredential()
	for _, tt := range []struct {
		host, user string
		err        error
	}{
		{"r.example:5000", "u", nil},
		{"r.example", "", nil}, // the port is part of the key
		{"registry-1.docker.io", "d", nil},
		{"good.example", "h", nil},
		{"bad.example", "", fault.Denied},
	} {
		c, err := find(t.Context(), tt.host)
		if !errors.Is(err, tt.err) || c.Username != tt.user {
			t.Errorf("%s: got %q, %v", tt.host, c.Username, err)
		}
	}
}

func TestLoopbackThatSpeaksTLS(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(content) }))
	defer srv.Close()
	u, _ := url.Parse(srv.URL)
	r, err := Open(u.Host, "app", Options{Transport: srv.Client().Transport})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := readBlob(t, r); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestCancelEndsWaits(t *testing.T) {
	r, _ := open(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(503)
	}, Options{})
	r.wait = sleep
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_, err := r.Open(ctx, blobDesc())
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > 5*time.Second {
		t.Errorf("got %v after %s", err, time.Since(begin))
	}
}

func FuzzHeaders(f *testing.F) {
	f.Add("bytes 5-9/10", "120", int64(10))
	f.Add("bytes 0-9/*", "Wed, 21 Oct 2015 07:28:00 GMT", int64(10))
	f.Add("bytes -1-9223372036854775807/0", "99999999999999999999", int64(-1))
	f.Fuzz(func(t *testing.T, crange, retry string, size int64) {
		if start, ok := parseContentRange(crange, size); ok && (start < 0 || start >= size) {
			t.Errorf("start %d of %d from %q", start, size, crange)
		}
		if d, ok := parseRetryAfter(retry, time.Unix(1e9, 0)); ok && (d < 0 || d > maxRetryAfter) {
			t.Errorf("wait %s from %q", d, retry)
		}
	})
}

func FuzzGuard(f *testing.F) {
	f.Add("https://auth.example.com/token")
	f.Add("http://registry.example.com@evil.example/")
	f.Fuzz(func(t *testing.T, to string) {
		u, err := url.Parse(to)
		if err != nil || u.Host == "" {
			return
		}
		wire := &recorder{}
		r, err := Open("registry.example.com", "app", Options{Transport: wire})
		if err != nil {
			t.Fatal(err)
		}
		req := (&http.Request{Method: "GET", URL: u, Header: http.Header{"Authorization": {"Basic x"}}}).WithContext(t.Context())
		resp, err := r.guard.RoundTrip(req)
		if err != nil {
			return
		}
		resp.Body.Close()
		host := strings.ToLower(u.Hostname())
		ours := u.Scheme == "https" && (host == "example.com" || strings.HasSuffix(host, ".example.com"))
		if wire.req.Header.Get("Authorization") != "" && !ours {
			t.Errorf("credentials went to %q", to)
		}
	})
}

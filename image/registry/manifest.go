package registry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/berth-engine/berth/image/blob"
	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/fault"
)

// accepted are the documents we ask for. Schema 1 is not among them; a
// registry that has nothing else says so, or sends it and is refused by name.
const accepted = ocispec.MediaTypeImageIndex + ", " + blob.DockerIndex + ", " + ocispec.MediaTypeImageManifest + ", " + blob.DockerManifest

const digestHeader = "Docker-Content-Digest"

// Resolve says which manifest a tag (or digest) names now, by a HEAD request
// that counts for no pull limit. The answer is a hint: only Manifest verifies.
// A registry that answers HEAD badly is asked by GET.
func (r *Repo) Resolve(ctx context.Context, ref string) (ocispec.Descriptor, error) {
	resp, err := r.do(ctx, http.MethodHead, "manifests", ref, http.Header{"Accept": {accepted}}, http.StatusOK)
	if err == nil {
		resp.Body.Close()
		d := ocispec.Descriptor{Digest: digest.Digest(resp.Header.Get(digestHeader)), Size: resp.ContentLength}
		d.MediaType, _, err = mime.ParseMediaType(resp.Header.Get("Content-Type"))
		if err == nil && blob.Check(d.Digest) == nil && d.Size > 0 {
			return d, nil
		}
	}
	if ctx.Err() != nil {
		return ocispec.Descriptor{}, context.Cause(ctx)
	}
	d, _, err := r.Manifest(ctx, ref)
	return d, err
}

// Manifest fetches a manifest or index by tag or digest and names it by the
// bytes that came, whatever the headers claim.
func (r *Repo) Manifest(ctx context.Context, ref string) (ocispec.Descriptor, []byte, error) {
	var last error
	for range r.attempts {
		d, body, err := r.manifest(ctx, ref)
		if err == nil || fault.KindOf(err) != fault.Internal || ctx.Err() != nil {
			return d, body, err
		}
		last = err // the body broke off
	}
	return ocispec.Descriptor{}, nil, r.explainNetwork(last, r.attempts)
}

func (r *Repo) manifest(ctx context.Context, ref string) (ocispec.Descriptor, []byte, error) {
	fail := func(err error) (ocispec.Descriptor, []byte, error) { return ocispec.Descriptor{}, nil, err }
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	resp, err := r.do(ctx, http.MethodGet, "manifests", ref, http.Header{"Accept": {accepted}}, http.StatusOK)
	if err != nil {
		return fail(err)
	}
	defer resp.Body.Close()
	watch := newWatch(r.stall, cancel)
	body, err := io.ReadAll(io.LimitReader(watch.reader(resp.Body), blob.MaxManifest+1))
	if err != nil {
		return fail(fmt.Errorf("read manifest %s: %w", ref, err))
	}
	if len(body) > blob.MaxManifest {
		return fail(fault.New(fault.TooLarge, "manifest %s of %s is larger than %d bytes", ref, r.familiar(), blob.MaxManifest))
	}
	if resp.ContentLength >= 0 && int64(len(body)) != resp.ContentLength {
		return fail(fmt.Errorf("read manifest %s: %w", ref, io.ErrUnexpectedEOF))
	}
	return r.named(ref, resp.Header, body)
}

// named computes the descriptor of a manifest's bytes and compares it with
// what was asked for and with what the registry says it is.
func (r *Repo) named(ref string, head http.Header, body []byte) (ocispec.Descriptor, []byte, error) {
	d := ocispec.Descriptor{Digest: digest.FromBytes(body), Size: int64(len(body))}
	wants := []string{head.Get(digestHeader)}
	if strings.Contains(ref, ":") {
		wants = []string{ref}
	}
	for _, want := range wants {
		w := digest.Digest(want)
		if want == "" {
			continue
		}
		if err := blob.Check(w); err != nil {
			return ocispec.Descriptor{}, nil, err
		}
		got := w.Algorithm().FromBytes(body)
		if got != w {
			return ocispec.Descriptor{}, nil, fault.New(fault.Damaged, "manifest %s of %s: wrong digest: expected %s, got %s", ref, r.familiar(), w, got)
		}
		d.Digest = w
	}
	mt, _, err := mime.ParseMediaType(head.Get("Content-Type"))
	if err != nil {
		return ocispec.Descriptor{}, nil, fault.New(fault.Invalid, "manifest %s of %s has no media type", ref, r.familiar())
	}
	d.MediaType = mt
	return d, body, nil
}

// Open reads a blob, resuming where the connection broke, or a manifest. It
// makes Repo a blob.Source.
func (r *Repo) Open(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	if err := blob.Check(d.Digest); err != nil {
		return nil, err
	}
	if !blob.IsManifest(d.MediaType) {
		return r.openBlob(ctx, d)
	}
	_, body, err := r.Manifest(ctx, d.Digest.String())
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(body)), nil
}

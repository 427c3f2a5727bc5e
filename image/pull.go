package image

import (
	"context"
	"errors"
	"sync"

	"github.com/berth-engine/berth/image/blob"
	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/fault"
)

// Fetch brings an image from its registry into a store: Direct does, and so
// does package courier, which has another program do it. The name and the
// options are those of Pull and have been checked.
type Fetch func(ctx context.Context, s *Store, name string, o PullOptions) (PullResult, error)

// Repository is one repository of a registry. Package registry has the real
// one. It may be used by several goroutines until it is closed.
type Repository interface {
	blob.Source
	// Resolve says what ref, a tag or digest, names now. Nothing of the
	// answer has been verified.
	Resolve(ctx context.Context, ref string) (ocispec.Descriptor, error)
	// Manifest reads a manifest or index; its descriptor is that of the bytes.
	Manifest(ctx context.Context, ref string) (ocispec.Descriptor, []byte, error)
	Close() error
}

// Direct fetches in this very process, from the repositories that open gives
// by host and path.
func Direct(open func(host, path string) (Repository, error)) Fetch {
	return func(ctx context.Context, s *Store, name string, o PullOptions) (PullResult, error) {
		p, err := newPull(s, name, o)
		if err != nil {
			return PullResult{}, err
		}
		repo, err := open(p.named.domain, p.named.path)
		if err != nil {
			return PullResult{}, err
		}
		defer repo.Close()
		return p.run(ctx, repo)
	}
}

// Pull brings an image from its registry. The tag is resolved once; whatever
// happens to it meanwhile, the image is the one of that moment. When it fails
// or is cancelled, no record and no tree is left; whole blobs stay for the
// next try unless the image is bad.
func (s *Store) Pull(ctx context.Context, name string, o PullOptions) (PullResult, error) {
	if _, err := newPull(s, name, o); err != nil {
		return PullResult{}, err
	}
	return s.fetch(ctx, s, name, o)
}

// newPull checks what is asked for.
func newPull(s *Store, name string, o PullOptions) (*pull, error) {
	if name == HostName {
		return nil, fault.New(fault.Invalid, "image host is this machine itself and cannot be pulled")
	}
	named, err := parseTagged(name)
	if err != nil {
		return nil, err
	}
	want, err := parsePlatform(o.Platform)
	if err != nil {
		return nil, err
	}
	return &pull{s: s, named: named, want: want, tell: serial(o.Progress)}, nil
}

// pull is one Pull.
type pull struct {
	s     *Store
	named reference
	want  ocispec.Platform
	tell  func(Event)
}

// ref is the part of the name after the colon or at sign.
func (p *pull) ref() string {
	if p.named.digest != "" {
		return p.named.digest.String()
	}
	return p.named.tag
}

// names are those that the image gets: name@digest and, when asked by tag,
// name:tag, which comes last.
func (p *pull) names(top digest.Digest) []string {
	names := []string{p.named.name() + "@" + top.String()}
	if p.named.tag != "" {
		names = append(names, p.named.String())
	}
	return names
}

func (p *pull) run(ctx context.Context, repo Repository) (PullResult, error) {
	if err := p.s.reached("resolve"); err != nil {
		return PullResult{}, err
	}
	top, err := repo.Resolve(ctx, p.ref())
	if err != nil {
		return PullResult{}, err
	}
	p.tell(Event{Layer: p.ref(), Text: "Pulling from " + p.named.path})
	names := p.names(top.Digest)
	img, same, err := p.s.upToDate(names, p.want)
	if err != nil {
		return PullResult{}, err
	}
	if !same {
		if img, top.Digest, err = p.fetch(ctx, repo, top); err != nil {
			return PullResult{}, err
		}
	}
	return p.report(img, top.Digest, same), nil
}

// fetch brings the image that top names and records it.
func (p *pull) fetch(ctx context.Context, repo Repository, top ocispec.Descriptor) (Image, digest.Digest, error) {
	fail := func(err error) (Image, digest.Digest, error) { return Image{}, "", err }
	if err := p.s.reached("manifest"); err != nil {
		return fail(err)
	}
	top, body, err := repo.Manifest(ctx, top.Digest.String())
	if err != nil {
		return fail(err)
	}
	c, err := describe(ctx, repo, top, body, p.want)
	if err != nil {
		return fail(fault.Op("image", p.named.familiar(), err))
	}
	img, err := p.s.install(ctx, repo, c, p.names(c.top), p.tell)
	if err != nil {
		return fail(fault.Op("image", p.named.familiar(), err))
	}
	return img, c.top, nil
}

func (p *pull) report(img Image, top digest.Digest, same bool) PullResult {
	name := p.named.familiar()
	p.tell(Event{Text: "Digest: " + top.String()})
	if same {
		p.tell(Event{Text: "Status: Image is up to date for " + name})
	} else {
		p.tell(Event{Text: "Status: Downloaded newer image for " + name})
	}
	return PullResult{Image: img, Ref: p.named.String(), Digest: top, UpToDate: same}
}

// upToDate finds the image that all of names already stand for, when it is
// whole and of the wanted platform.
func (s *Store) upToDate(names []string, want ocispec.Platform) (Image, bool, error) {
	t, err := s.readTable()
	if err != nil {
		return Image{}, false, err
	}
	id, ok := t.holder(names[0])
	if !ok {
		return Image{}, false, nil
	}
	for _, n := range names[1:] {
		if other, ok := t.holder(n); !ok || other != id {
			return Image{}, false, nil
		}
	}
	r, err := s.readRecord(id)
	if errors.Is(err, fault.Damaged) {
		return Image{}, false, nil // a pull heals it
	}
	if err != nil {
		return Image{}, false, err
	}
	if have := r.Config.Platform; have.Architecture != "" && rank(want, have) == 0 {
		return Image{}, false, nil
	}
	return r.image(t.Images[id]), s.whole(r), nil
}

// whole reports whether everything that a record names is here.
func (s *Store) whole(r *record) bool {
	for i, d := range r.Layers {
		if !s.trees.Exists(r.Chain[i]) || !s.blobs.Has(d) {
			return false
		}
	}
	return s.blobs.Has(r.Manifest)
}

// serial makes a progress function that may be nil and is called one at a
// time.
func serial(f func(Event)) func(Event) {
	if f == nil {
		return func(Event) {}
	}
	var mu sync.Mutex
	return func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		f(e)
	}
}

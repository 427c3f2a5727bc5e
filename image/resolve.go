package image

import (
	"context"
	"errors"
	"strings"

	"github.com/berth-engine/berth/image/blob"
	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/image/ocispec"

	"github.com/berth-engine/berth/internal/fault"
)

// Resolve finds an image by name, name:tag, name@digest, ID or unique prefix
// of an ID. It reads two small files and no manifest.
func (s *Store) Resolve(name string) (Image, error) {
	if name == HostName {
		return hostImage()
	}
	var img Image
	err := s.retryRead(func(t *table) error {
		id, err := t.find(name)
		if err != nil {
			return err
		}
		r, err := s.readRecord(id)
		if err != nil {
			return err
		}
		img = r.image(t.Images[id])
		return nil
	})
	return img, err
}

// retryRead reads without the lock. Somebody may remove an image between the
// table and its record; then the table is read again.
func (s *Store) retryRead(fn func(*table) error) error {
	var err error
	for range 3 {
		var t *table
		if t, err = s.readTable(); err != nil {
			return err
		}
		if err = fn(t); !errors.Is(err, fault.Damaged) {
			return err
		}
	}
	return err
}

// find returns the ID that name stands for: full IDs first, then names, then
// prefixes of IDs.
func (t *table) find(name string) (digest.Digest, error) {
	if d := digest.Digest(name); d.Validate() == nil {
		if _, ok := t.Images[d]; ok {
			return d, nil
		}
		return "", noSuchImage(name)
	}
	hex, isHex := hexPrefix(name)
	if isHex && len(hex) == 64 {
		if d := digest.NewDigestFromEncoded(digest.SHA256, hex); t.Images[d] != nil || t.has(d) {
			return d, nil
		}
		return "", noSuchImage(name)
	}
	named, err := parseTagged(name)
	if err == nil {
		if id, ok := t.byRef(named); ok {
			return id, nil
		}
	}
	if isHex {
		if id, err := t.byPrefix(name, hex); id != "" || err != nil {
			return id, err
		}
	}
	if err != nil {
		return "", err
	}
	return "", noSuchImage(named.familiar())
}

func (t *table) has(id digest.Digest) bool {
	_, ok := t.Images[id]
	return ok
}

// byRef looks a full name up. name@digest also finds an image that was pulled
// by tag, and one whose ID the digest is.
func (t *table) byRef(named reference) (digest.Digest, bool) {
	if id, ok := t.holder(named.String()); ok {
		return id, true
	}
	for _, n := range t.Images[named.digest] {
		if repoOf(n) == named.name() {
			return named.digest, true
		}
	}
	return "", false
}

func (t *table) byPrefix(name, hex string) (digest.Digest, error) {
	var found digest.Digest
	for id := range t.Images {
		if !strings.HasPrefix(id.Encoded(), hex) {
			continue
		}
		if found != "" {
			return "", fault.New(fault.Invalid, "image ID %s is ambiguous: give more of its digits", name)
		}
		found = id
	}
	return found, nil
}

func noSuchImage(name string) error {
	return fault.New(fault.NotFound, "no such image: %s", clip(name))
}

// List returns all images, the newest first.
func (s *Store) List() ([]Image, error) {
	var out []Image
	err := s.retryRead(func(t *table) error {
		out = nil
		for id, names := range t.Images {
			r, err := s.readRecord(id)
			if err != nil {
				return err
			}
			out = append(out, r.image(names))
		}
		return nil
	})
	sortNewest(out)
	return out, err
}

// Ensure returns the image, pulling it when the policy says so.
func (s *Store) Ensure(ctx context.Context, name string, o PullOptions) (Image, error) {
	switch o.Policy {
	case "", Missing, Always, Never:
	default:
		return Image{}, fault.New(fault.Invalid, "pull policy %q: want missing, always or never", clip(string(o.Policy)))
	}
	if name == HostName {
		return hostImage()
	}
	if o.Policy != Always {
		img, err := s.ensureLocal(name, o)
		if err == nil || o.Policy == Never || !errors.Is(err, errAbsent) {
			return img, err
		}
		if full, nerr := Normalize(name); nerr == nil && errors.Is(err, fault.NotFound) {
			o.Progress = after(Event{Text: "Unable to find image '" + Familiar(full) + "' locally"}, o.Progress)
		}
	}
	res, err := s.Pull(ctx, name, o)
	return res.Image, err
}

// after puts one event before the others. Who cannot pull has none, and says
// why in one line.
func after(first Event, tell func(Event)) func(Event) {
	if tell == nil {
		return nil
	}
	told := false
	return func(e Event) { // called once at a time
		if !told {
			told = true
			tell(first)
		}
		tell(e)
	}
}

// errAbsent marks what a pull can cure.
var errAbsent = errors.New("absent")

// ensureLocal is Resolve for something that will be run: of the right
// platform, with all its trees.
func (s *Store) ensureLocal(name string, o PullOptions) (Image, error) {
	img, err := s.Resolve(name)
	if errors.Is(err, fault.NotFound) || errors.Is(err, fault.Damaged) {
		return img, curable(err)
	}
	if err != nil {
		return img, err
	}
	if img.Top != "" && !s.trees.Exists(img.Top) {
		return img, curable(fault.New(fault.Damaged, "image %s has lost layer %s: pull or load it again", Familiar(name), img.Top))
	}
	if o.Platform == "" {
		return img, nil
	}
	want, err := parsePlatform(o.Platform)
	if err != nil {
		return img, err
	}
	if have := img.Config.Platform; have.Architecture != "" && rank(want, have) == 0 {
		return img, curable(wrongPlatform(platformString(have), want))
	}
	return img, nil
}

func curable(err error) error { return &absent{err} }

type absent struct{ error }

func (a *absent) Is(target error) bool { return target == errAbsent }
func (a *absent) Unwrap() error        { return a.error }

// ConfigBytes returns the image's config as it was written, with what Image
// leaves out: history and fields that only docker knows.
func (s *Store) ConfigBytes(img Image) ([]byte, error) {
	size, err := s.blobs.Size(img.ID)
	if err != nil {
		return nil, err
	}
	return blob.ReadAll(context.Background(), s.blobs, ocispec.Descriptor{Digest: img.ID, Size: size}, maxConfig)
}

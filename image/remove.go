package image

import (
	"errors"
	"slices"
	"strings"

	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/internal/fault"
)

// RemoveOptions tunes Remove.
type RemoveOptions struct {
	// Force removes an image with several names by its ID, and one that
	// stopped containers use; their trees stay until they are removed.
	Force bool
	// InUse names the containers that were made from an image, and Running
	// those of them that run, which not even Force overrides. nil means none.
	InUse   func(Image) []string
	Running func(Image) []string
}

// Removed is one line of docker rmi; one of its fields is set.
type Removed struct {
	Untagged string        // a familiar name
	Deleted  digest.Digest // an image or a layer's chain
}

// Remove takes a name from an image, and removes the image with the layers
// that nothing else needs when that was its last name, in docker's way:
// by ID it wants Force when there are names in several repositories.
func (s *Store) Remove(name string, o RemoveOptions) ([]Removed, error) {
	if name == HostName {
		return nil, fault.New(fault.Conflict, "image host is this machine itself and cannot be removed")
	}
	var out []Removed
	err := s.locked(func() error {
		t, err := s.readTable()
		if err != nil {
			return err
		}
		id, err := t.find(name)
		if err != nil {
			return err
		}
		r := &removal{s: s, t: t, id: id, o: o}
		out, err = r.run(name)
		return err
	})
	return out, err
}

// removal is one Remove under the lock.
type removal struct {
	s  *Store
	t  *table
	id digest.Digest
	o  RemoveOptions
}

func (r *removal) run(name string) ([]Removed, error) {
	refs := r.t.Images[r.id]
	drop, last := r.plan(name)
	if last {
		if err := r.conflict(name); err != nil {
			return nil, err
		}
	}
	var out []Removed
	for _, n := range drop {
		out = append(out, Removed{Untagged: Familiar(n)})
	}
	r.t.Images[r.id] = slices.DeleteFunc(slices.Clone(refs), func(n string) bool { return slices.Contains(drop, n) })
	if last {
		delete(r.t.Images, r.id)
	}
	if err := r.s.reached("table"); err != nil {
		return nil, err
	}
	if err := r.s.writeTable(r.t); err != nil {
		return nil, err
	}
	if !last {
		return out, nil
	}
	out = append(out, Removed{Deleted: r.id})
	trees, err := r.s.collect(r.t)
	for _, n := range trees {
		out = append(out, Removed{Deleted: digest.NewDigestFromEncoded(digest.SHA256, string(n))})
	}
	return out, err
}

// plan says which names go, and whether the image goes with them.
func (r *removal) plan(name string) (drop []string, last bool) {
	refs := r.t.Images[r.id]
	asked, byName := r.named(name)
	if !byName {
		return slices.Clone(refs), true
	}
	drop = []string{asked}
	rest := slices.DeleteFunc(slices.Clone(refs), func(n string) bool { return n == asked })
	if !isDigestRef(asked) && !slices.ContainsFunc(rest, func(n string) bool { return repoOf(n) == repoOf(asked) && !isDigestRef(n) }) {
		// The last tag of a repository takes the digests of it along.
		for _, n := range rest {
			if repoOf(n) == repoOf(asked) {
				drop = append(drop, n)
			}
		}
	}
	return drop, len(drop) == len(refs)
}

// named returns the full name that the user meant, false when it was an ID.
func (r *removal) named(name string) (string, bool) {
	full, err := parseTagged(name)
	if err != nil {
		return "", false
	}
	if hex, ok := hexPrefix(name); ok && strings.HasPrefix(r.id.Encoded(), hex) && !slices.Contains(r.t.Images[r.id], full.String()) {
		return "", false
	}
	return full.String(), slices.Contains(r.t.Images[r.id], full.String())
}

// conflict refuses what would pull an image away from under its users.
func (r *removal) conflict(name string) error {
	refs := r.t.Images[r.id]
	img := Image{ID: r.id}
	rec, err := r.s.readRecord(r.id)
	switch {
	case err == nil:
		img = rec.image(refs)
	case !errors.Is(err, fault.Damaged):
		return err // a damaged image may go
	}
	short := r.id.Encoded()[:12]
	if r.o.Running != nil {
		if users := r.o.Running(img); len(users) > 0 {
			return fault.New(fault.Conflict, "conflict: unable to delete %s (cannot be forced) - image is being used by running container %s", short, users[0])
		}
	}
	if r.o.Force {
		return nil
	}
	asked, byName := r.named(name)
	if !byName && repositories(refs) > 1 {
		return fault.New(fault.Conflict, "conflict: unable to delete %s (must be forced) - image is referenced in multiple repositories", short)
	}
	if r.o.InUse == nil {
		return nil
	}
	users := r.o.InUse(img)
	switch {
	case len(users) == 0:
		return nil
	case byName:
		return fault.New(fault.Conflict, "conflict: unable to remove repository reference %q (must force) - container %s is using its referenced image %s", Familiar(asked), users[0], short)
	}
	return fault.New(fault.Conflict, "conflict: unable to delete %s (must be forced) - image is being used by stopped container %s", short, users[0])
}

// repositories counts names the way rmi does: a tag and the digest it was
// pulled by are one, two tags are two.
func repositories(refs []string) int {
	tags, repos := 0, map[string]bool{}
	for _, n := range refs {
		if isDigestRef(n) {
			repos[repoOf(n)] = true
		} else {
			tags++
		}
	}
	return max(tags, len(repos))
}

package image

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/fault"
)

// Save writes images as an archive that is a docker archive and an OCI layout
// in one, as docker 25 and later do. A name without a tag stands for all tags
// of its repository, an ID for the image without a name. The same images give
// the same bytes.
func (s *Store) Save(ctx context.Context, w io.Writer, names []string) error {
	if len(names) == 0 {
		return fault.New(fault.Invalid, "save: no image named")
	}
	list, err := s.chosen(names)
	if err != nil {
		return err
	}
	drop, err := s.take(leaseFor(list))
	if err != nil {
		return err
	}
	defer drop()
	out := &saver{ctx: ctx, s: s, tar: tar.NewWriter(w), list: list}
	if err := out.run(); err != nil {
		return fault.Op("save", "", err)
	}
	return out.tar.Close()
}

// saved is an image and the names it is saved under.
type saved struct {
	Image
	names []string
}

// chosen finds the images, in the order of their IDs.
func (s *Store) chosen(names []string) ([]saved, error) {
	byID := map[digest.Digest]*saved{}
	for _, name := range names {
		if name == HostName {
			return nil, fault.New(fault.Invalid, "image host is this machine itself and cannot be saved")
		}
		imgs, refs, err := s.match(name)
		if err != nil {
			return nil, err
		}
		for i, img := range imgs {
			e := byID[img.ID]
			if e == nil {
				e = &saved{Image: img}
				byID[img.ID] = e
			}
			e.names = union(e.names, refs[i])
		}
	}
	var out []saved
	for _, e := range byID {
		out = append(out, *e)
	}
	slices.SortFunc(out, func(a, b saved) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

// match returns the images that one argument of save means and the names that
// each keeps.
func (s *Store) match(name string) (imgs []Image, refs [][]string, err error) {
	if named, err := parseReference(name); err == nil && named.nameOnly() {
		all, err := s.List()
		if err != nil {
			return nil, nil, err
		}
		for _, img := range all {
			tags := slices.DeleteFunc(slices.Clone(img.Refs), func(r string) bool { return repoOf(r) != named.name() })
			if len(tags) > 0 {
				imgs, refs = append(imgs, img), append(refs, tags)
			}
		}
		if len(imgs) > 0 {
			return imgs, refs, nil
		}
	}
	img, err := s.Resolve(name)
	if err != nil {
		return nil, nil, err
	}
	var keep []string
	if named, err := parseTagged(name); err == nil && slices.Contains(img.Refs, named.String()) {
		keep = []string{named.String()}
	}
	return []Image{img}, [][]string{keep}, nil
}

func leaseFor(list []saved) lease {
	var l lease
	for _, e := range list {
		l.Blobs = append(l.Blobs, e.ID, e.Manifest.Digest)
		for _, d := range e.Layers {
			l.Blobs = append(l.Blobs, d.Digest)
		}
	}
	return l
}

// saver writes one archive: directories, blobs by digest, then the tables.
type saver struct {
	ctx  context.Context //nolint:containedctx // lives for one Save
	s    *Store
	tar  *tar.Writer
	list []saved
}

func (v *saver) run() error {
	for _, dir := range []string{"blobs/", "blobs/sha256/"} {
		h := &tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755, ModTime: epoch, Format: tar.FormatPAX}
		if err := v.tar.WriteHeader(h); err != nil {
			return err
		}
	}
	blobs, err := v.blobs()
	if err != nil {
		return err
	}
	for _, d := range blobs {
		if err := v.blob(d); err != nil {
			return err
		}
	}
	index, table, repositories := v.tables()
	for _, f := range []struct {
		name string
		v    any
	}{
		{"index.json", index},
		{"manifest.json", table},
		{ocispec.ImageLayoutFile, ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion}},
		{"repositories", repositories},
	} {
		text, err := json.Marshal(f.v)
		if err != nil {
			return err
		}
		if err := v.file(f.name, int64(len(text)), bytes.NewReader(text)); err != nil {
			return err
		}
	}
	return nil
}

// epoch is the time of everything in an archive, so that it stays the same.
var epoch = time.Unix(0, 0).UTC()

// blobs lists what goes into blobs/, once each, by digest.
func (v *saver) blobs() ([]ocispec.Descriptor, error) {
	all := map[digest.Digest]ocispec.Descriptor{}
	for _, e := range v.list {
		size, err := v.s.blobs.Size(e.ID)
		if err != nil {
			return nil, err
		}
		all[e.ID] = ocispec.Descriptor{Digest: e.ID, Size: size}
		all[e.Manifest.Digest] = e.Manifest
		for _, d := range e.Layers {
			all[d.Digest] = d
		}
	}
	var out []ocispec.Descriptor
	for _, d := range all {
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b ocispec.Descriptor) int { return cmp.Compare(a.Digest, b.Digest) })
	return out, nil
}

func (v *saver) blob(d ocispec.Descriptor) error {
	if v.ctx.Err() != nil {
		return context.Cause(v.ctx)
	}
	rc, err := v.s.blobs.Open(v.ctx, d)
	if err != nil {
		return err
	}
	defer rc.Close()
	return v.file(blobPath(d.Digest), d.Size, &cancelled{v.ctx, rc})
}

func (v *saver) file(name string, size int64, r io.Reader) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: epoch, Format: tar.FormatPAX}
	if err := v.tar.WriteHeader(h); err != nil {
		return err
	}
	_, err := io.Copy(v.tar, r)
	return err
}

func blobPath(d digest.Digest) string {
	return "blobs/" + d.Algorithm().String() + "/" + d.Encoded()
}

// tables are the three lists of the same images: OCI's, docker's, and the one
// of dockers before 1.10.
func (v *saver) tables() (ocispec.Index, []dockerEntry, map[string]map[string]string) {
	index := ocispec.Index{
		Versioned: ocispec.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{},
	}
	var table []dockerEntry
	old := map[string]map[string]string{}
	for _, e := range v.list {
		entry := dockerEntry{
			Config: blobPath(e.ID), Layers: []string{}, RepoTags: []string{},
			LayerSources: map[digest.Digest]ocispec.Descriptor{},
		}
		for i, d := range e.Layers {
			entry.Layers = append(entry.Layers, blobPath(d.Digest))
			entry.LayerSources[e.Config.RootFS.DiffIDs[i]] = d
		}
		for _, n := range e.names {
			entry.RepoTags = append(entry.RepoTags, Familiar(n))
			repo, tag := splitTag(n)
			if old[repo] == nil {
				old[repo] = map[string]string{}
			}
			old[repo][tag] = string(e.Top)
		}
		table = append(table, entry)
		index.Manifests = append(index.Manifests, indexEntries(e)...)
	}
	return index, table, old
}

// indexEntries are one entry per name, or one without.
func indexEntries(e saved) []ocispec.Descriptor {
	if len(e.names) == 0 {
		return []ocispec.Descriptor{e.Manifest}
	}
	var out []ocispec.Descriptor
	for _, n := range e.names {
		d := e.Manifest
		_, tag := splitTag(n)
		d.Annotations = map[string]string{containerdName: n, ocispec.AnnotationRefName: tag}
		out = append(out, d)
	}
	return out
}

// splitTag cuts a full name into docker's short repository and the tag.
func splitTag(full string) (repo, tag string) {
	short := Familiar(full)
	i := strings.LastIndex(short, ":")
	if i < 0 {
		return short, ""
	}
	return short[:i], short[i+1:]
}

// Package plain is a snapshot driver without copy-on-write: it copies.
//
//	keys/KEY/fs   the layers' files, merged; shown by a bind mount
//
// It is for file systems on which overlay cannot write (a store inside
// another engine's container) and for tests without privileges to mount.
// Making a tree takes as long as copying the image; where the file system can
// share blocks between files (btrfs, xfs) at least the data is shared.
package plain

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/mount"
	"github.com/berth-engine/berth/internal/under"
	"github.com/berth-engine/berth/snapshot"
)

const tree = "fs"

// Driver implements snapshot.Driver.
type Driver struct{}

// New returns the driver.
func New() *Driver { return &Driver{} }

// Create merges the layers, lowest first, into one tree.
func (*Driver) Create(t snapshot.Tree, parents []snapshot.Tree) error {
	for _, p := range parents {
		if p.Host {
			return fault.New(fault.Unsupported, "the plain driver would have to copy the whole machine for %q: "+
				"use the overlay driver", snapshot.Host)
		}
	}
	dir := filepath.Join(t.Dir, tree)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for i := len(parents) - 1; i >= 0; i-- {
		if err := merge(dir, parents[i].Dir); err != nil {
			return fault.Op("copy", parents[i].Dir, err)
		}
	}
	return nil
}

// Mounts returns a bind mount of the copy.
func (*Driver) Mounts(t snapshot.Tree, _ []snapshot.Tree, ro bool) []mount.Mount {
	m := mount.Mount{Type: "bind", Source: filepath.Join(t.Dir, tree), Options: []string{"bind"}}
	if ro {
		m.Options = append(m.Options, "ro")
	}
	return []mount.Mount{m}
}

// Remove deletes the copy.
func (*Driver) Remove(t snapshot.Tree) error { return under.RemoveTree(t.Dir) }

// merge puts the layer src on top of dst.
func merge(dst, src string) error {
	from, err := unix.Open(src, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(from)
	to, err := unix.Open(dst, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(to)
	m := merger{links: map[uint64]string{}, top: to, buf: make([]byte, 1<<20)}
	return m.dir(from, to, "", 0)
}

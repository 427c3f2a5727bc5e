package engine

import (
	"os"
	"path/filepath"

	"github.com/berth-engine/berth/internal/fault"
)

// floor is a directory that lies below the lowest layer of every image. What a
// container's mounts need and its image lacks is there already, and nothing is
// made in the container's own tree for it.
//
//	what the container wrote
//	layers of the image       bin  etc/passwd
//	floor                     dev  etc/{hostname,hosts,resolv.conf}  proc  sys
//
// Docker has such a layer too, above the image and for each container.
func (r *rooms) floor() string { return filepath.Join(r.cfg.Root, "floor") }

// makeFloor makes what is missing of it. What is made last tells that all is
// there: nothing changes below a mounted tree.
func (r *rooms) makeFloor() error {
	if _, err := os.Lstat(filepath.Join(r.floor(), "sys")); err == nil {
		return nil
	}
	const op = "make the floor of images"
	for _, name := range []string{"", "dev", "etc", "proc"} {
		if err := r.makePoint(name); err != nil {
			return fault.Op(op, "", err)
		}
	}
	for _, name := range []string{"hostname", "hosts", "resolv.conf"} {
		if err := writePublic(filepath.Join(r.floor(), "etc", name), nil); err != nil {
			return fault.Op(op, "", err)
		}
	}
	return fault.Op(op, "", r.makePoint("sys"))
}

// makePoint makes a directory of the floor, or finishes one: who makes one may
// be killed before everybody may enter it.
func (r *rooms) makePoint(name string) error {
	dir := filepath.Join(r.floor(), name)
	if err := makePublic(dir); err != nil {
		return err
	}
	return os.Chmod(dir, 0o755)
}

package layer

import (
	"archive/tar"
	"bytes"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
)

// xattrs puts the attributes of fd that an image may have into h.
func (p *packer) xattrs(fd int, h *tar.Header) error {
	var names [4096]byte
	list := names[:]
	n, err := unix.Flistxattr(fd, list)
	if errors.Is(err, unix.ERANGE) {
		list = make([]byte, 64<<10) // XATTR_LIST_MAX
		n, err = unix.Flistxattr(fd, list)
	}
	if errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	if err != nil {
		return fault.Op("list attributes", "", err)
	}
	for name := range bytes.SplitSeq(list[:n], []byte{0}) {
		if !keptXattr(string(name)) {
			continue
		}
		value := p.buf[:64<<10] // XATTR_SIZE_MAX
		n, err := unix.Fgetxattr(fd, string(name), value)
		if err != nil {
			return fault.Op("read attribute", string(name), err)
		}
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords[paxXattr+string(name)] = string(value[:n])
	}
	return nil
}

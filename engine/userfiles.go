package engine

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"syscall"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/merged"
)

// maxUserFile bounds /etc/passwd and /etc/group of an image, in bytes.
const maxUserFile = 1 << 20

// userFiles gives /etc/passwd and /etc/group of a tree; missing ones are empty.
func userFiles(t merged.Tree) (passwd, group io.Reader, err error) {
	read := func(name string) (io.Reader, error) {
		data, err := t.ReadFile(name, maxUserFile)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			return bytes.NewReader(nil), nil
		}
		if err != nil {
			return nil, fault.Op("look up the user", name, err)
		}
		return bytes.NewReader(data), nil
	}
	if passwd, err = read("/etc/passwd"); err != nil {
		return nil, nil, err
	}
	group, err = read("/etc/group")
	return passwd, group, err
}

package oci

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/disk"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/merged"
	"github.com/berth-engine/berth/internal/mount"
	"github.com/berth-engine/berth/runtime/plan"
)

// execve(2) says ENOENT for a program that is there when its interpreter is
// not. What follows looks for the one that is missing, after the fact:
//
//	/app ── "#!/bin/sh" ──► /bin/sh ── ELF PT_INTERP ──► /lib/ld-musl… missing

// site is the root in which a program was to be executed, and why is asked of
// it when that did not work.
type site struct {
	rootfs []mount.Mount // as in Bundle; without any the root is dir
	dir    string
	over   []specs.Mount // what hides parts of the root
}

// siteOf is the root of a container that waits for its start, or has waited.
func (r *Runtime) siteOf(s *State) (site, *specs.Process) {
	at := site{dir: s.Rootfs}
	spec, err := readSpec(r.config(s.ID))
	if err != nil {
		return at, &specs.Process{Args: []string{s.Program}}
	}
	at.over = spec.Mounts
	if err := disk.ReadJSON(filepath.Join(s.Bundle, RootfsFile), &at.rootfs); err != nil {
		at.rootfs = nil
	}
	return at, spec.Process
}

// siteIn is the root of a container that runs, mounts and all.
func siteIn(s *State) site {
	return site{dir: filepath.Join("/proc", utoa(uint32(s.Pid)), "root")}
}

const (
	headSize = 16 << 10 // what is read of a program, in bytes
	maxChain = 5        // interpreters of interpreters, as the kernel allows
)

// why names the interpreter that a program lacks, or what is wrong with its
// name. Empty: it cannot be said.
func (at site) why(p *specs.Process) string {
	t, err := merged.Open(at.rootfs, at.dir)
	if err != nil {
		return ""
	}
	defer t.Close()
	for _, name := range plan.Executables(p) {
		if !path.IsAbs(name) {
			name = path.Join("/", p.Cwd, name)
		}
		if head, err := at.head(t, name); err == nil {
			return at.chain(t, p.Cwd, name, head)
		}
	}
	return ""
}

func (at site) chain(t merged.Tree, cwd, name string, head []byte) string {
	for range maxChain {
		next, where := interpreter(head)
		if next == "" {
			return ""
		}
		if strings.HasSuffix(next, "\r") {
			return fmt.Sprintf("the first line of %s ends in a carriage return, so it names %q: save the file with Unix line ends", name, next)
		}
		if !path.IsAbs(next) {
			next = path.Join("/", cwd, next)
		}
		var err error
		head, err = at.head(t, next)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
			return fmt.Sprintf("%s, which the %s of %s names as its interpreter, is not in the container", next, where, name)
		}
		if err != nil {
			return ""
		}
		name = next
	}
	return ""
}

// head reads the beginning of a file that nothing is mounted over.
func (at site) head(t merged.Tree, name string) ([]byte, error) {
	for _, m := range at.over {
		if dest := path.Clean("/" + m.Destination); name == dest || strings.HasPrefix(name, dest+"/") {
			return nil, fault.New(fault.Unsupported, "%s is in a mount on %s", name, dest)
		}
	}
	return t.Head(name, headSize)
}

// interpreter returns the path that the beginning of a program names, and
// where: in its first line or in its ELF header.
func interpreter(head []byte) (name, where string) {
	if line, ok := bytes.CutPrefix(head, []byte("#!")); ok {
		line, _, _ = bytes.Cut(line[:min(len(line), 254)], []byte("\n")) // see execve(2)
		line = bytes.TrimLeft(line, " \t")
		if end := bytes.IndexAny(line, " \t\x00"); end >= 0 {
			line = line[:end]
		}
		return string(line), "first line"
	}
	return elfInterpreter(head), "ELF header"
}

// elfInterpreter finds the segment PT_INTERP; see elf(5).
func elfInterpreter(b []byte) string {
	if len(b) < 64 || string(b[:4]) != "\x7fELF" {
		return ""
	}
	var e binary.ByteOrder = binary.LittleEndian
	if b[5] == 2 {
		e = binary.BigEndian
	}
	// 32 bit: offset of the table, size and number of its entries; in an entry
	// the offset and size of the segment.
	table, size, number := uint64(e.Uint32(b[28:])), int(e.Uint16(b[42:])), int(e.Uint16(b[44:]))
	least, word := 32, func(b []byte) uint64 { return uint64(e.Uint32(b)) }
	offset, length := 4, 16
	if b[4] == 2 { // 64 bit
		table, size, number = e.Uint64(b[32:]), int(e.Uint16(b[54:])), int(e.Uint16(b[56:]))
		least, word = 56, e.Uint64
		offset, length = 8, 32
	}
	if size < least || table > uint64(len(b)) {
		return ""
	}
	const ptInterp = 3
	for entry := b[table:]; number > 0 && len(entry) >= size; entry, number = entry[size:], number-1 {
		from, n := word(entry[offset:]), word(entry[length:])
		if e.Uint32(entry) != ptInterp || from > uint64(len(b)) || n > uint64(len(b))-from {
			continue
		}
		name, _, _ := bytes.Cut(b[from:from+n], []byte{0})
		return string(name)
	}
	return ""
}

package under

import (
	"bytes"
	"encoding/binary"
	"iter"
)

// A linux_dirent64, as getdents64(2) writes it in the machine's byte order:
//
//	0 ino u64 · 8 off u64 · 16 reclen u16 · 18 type u8 · 19 name, NUL, padding
const (
	direntLen  = 16
	direntType = 18
	direntName = 19
)

// entries walks the records of a getdents64 buffer, without "." and "..".
func entries(buf []byte) iter.Seq2[string, byte] {
	return func(yield func(string, byte) bool) {
		for len(buf) > direntName {
			size := int(binary.NativeEndian.Uint16(buf[direntLen:]))
			if size <= direntName || size > len(buf) {
				return
			}
			name, _, _ := bytes.Cut(buf[direntName:size], []byte{0})
			kind := buf[direntType]
			buf = buf[size:]
			if s := string(name); s != "." && s != ".." && !yield(s, kind) {
				return
			}
		}
	}
}

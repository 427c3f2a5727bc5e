package criu

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// image puts entries behind the magic.
func image(entries ...string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, imageMagic)
	b = binary.LittleEndian.AppendUint32(b, filesMagic)
	for _, e := range entries {
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(e))), e...)
	}
	return b
}

// file is a FileEntry with type 1, id 7 and a regular file.
func file(reg string) string { return "\x08\x01\x10\x07\x1a" + string(rune(len(reg))) + reg }

func TestFreeFiles(t *testing.T) {
	const (
		id, owner  = "\x08\x07", "\x18\x4e\x2a\x02ab"
		read       = "\x10\x80\x80\x02" // O_LARGEFILE
		write      = "\x10\x81\x80\x02"
		add        = "\x10\x81\x88\x02"
		size, mode = "\x40\x4e", "\x50\x80\x03"
		ext        = "\x48\x01"
	)
	ours := file(id + write + owner + size + mode)
	pipe := "\x08\x03\x10\x09\x2a\x03abc"
	got, ok := freeFiles(image(ours, file(id+write+owner+size+ext+mode), file(id+read+owner+size+ext+mode), pipe))
	if want := image(ours, file(id+add+owner+ext), file(id+read+owner+ext), pipe); !ok || !bytes.Equal(got, want) {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
	for _, bad := range []string{"", "12345678", string(image()) + "\x01", string(image()) + "\x05\x00\x00\x00a", string(image("\x1a\x05a")), string(image("\x0b"))} {
		if _, ok := freeFiles([]byte(bad)); ok {
			t.Errorf("%q is understood", bad)
		}
	}
}

// FuzzFreeFiles: what was changed once is not changed again.
func FuzzFreeFiles(f *testing.F) {
	f.Add(image(file("\x08\x07\x18\x4e\x40\x4e\x48\x01\x50\x01"), "\x08\x03"))
	f.Add(image("\x1a\x05a"))
	f.Fuzz(func(t *testing.T, data []byte) {
		once, ok := freeFiles(data)
		if !ok {
			return
		}
		if twice, ok := freeFiles(once); !ok || !bytes.Equal(once, twice) {
			t.Errorf("%q becomes %q, then %q", data, once, twice)
		}
	})
}

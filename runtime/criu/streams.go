package criu

import (
	"encoding/binary"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/disk"
	"github.com/berth-engine/berth/internal/fault"
)

// filesImage has an entry for each open file, as CRIU writes it:
//
//	magic of images, magic of this one    4 bytes each, little endian
//	{length, FileEntry} …                 4 bytes, then protobuf
//
// FileEntry has a RegFileEntry in field 3, of which these fields concern us.
const (
	filesImage = "files.img"

	imageMagic = 0x54564319
	filesMagic = 0x56303138

	fieldReg   = 3 // of FileEntry
	fieldFlags = 2 // of RegFileEntry: those of open(2)
	fieldSize  = 8
	fieldExt   = 9 // the file is external
	fieldMode  = 10
)

// maxFilesImage bounds what is read: a container with a million files is below.
const maxFilesImage = 256 << 20

// FreeStreams changes images so that external files may be others when they
// are restored. CRIU expects the size and mode of then and goes on at the place
// of then, which makes sense for the same file only. What takes the place of a
// container's standard output is another one as a rule, and CRIU opens it anew:
// so it is appended to.
func FreeStreams(dir string) error {
	name := filepath.Join(dir, filesImage)
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if info.Size() > maxFilesImage {
		return fault.New(fault.TooLarge, "%s has %d bytes", name, info.Size())
	}
	image, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	changed, ok := freeFiles(image)
	if !ok {
		return fault.New(fault.Unsupported, "%s: its form is not known", name)
	}
	return disk.Write(name, changed, info.Mode().Perm())
}

// freeFiles is FreeStreams for the bytes; false if they are not understood.
func freeFiles(image []byte) (out []byte, ok bool) {
	const head = 8
	if len(image) < head || binary.LittleEndian.Uint32(image) != imageMagic || binary.LittleEndian.Uint32(image[4:]) != filesMagic {
		return nil, false
	}
	out = append(out, image[:head]...)
	for rest := image[head:]; len(rest) > 0; {
		if len(rest) < 4 {
			return nil, false
		}
		n := uint64(binary.LittleEndian.Uint32(rest))
		rest = rest[4:]
		if n > uint64(len(rest)) {
			return nil, false
		}
		entry, ok := freeEntry(rest[:n])
		if !ok {
			return nil, false
		}
		out = append(binary.LittleEndian.AppendUint32(out, uint32(len(entry))), entry...)
		rest = rest[n:]
	}
	return out, true
}

// freeEntry changes a FileEntry.
func freeEntry(entry []byte) (out []byte, ok bool) {
	for len(entry) > 0 {
		f, rest, ok := nextField(entry)
		if !ok {
			return nil, false
		}
		text := entry[:len(entry)-len(rest)]
		if f.number == fieldReg && f.kind == 2 {
			reg, ok := freeReg(f.data)
			if !ok {
				return nil, false
			}
			text = binary.AppendUvarint([]byte{fieldReg<<3 | 2}, uint64(len(reg)))
			text = append(text, reg...)
		}
		out, entry = append(out, text...), rest
	}
	return out, true
}

// freeReg changes a RegFileEntry, if it is of an external file.
func freeReg(reg []byte) (out []byte, ok bool) {
	external := false
	for rest := reg; len(rest) > 0; {
		f, after, ok := nextField(rest)
		if !ok {
			return nil, false
		}
		text := rest[:len(rest)-len(after)]
		switch f.number {
		case fieldSize, fieldMode:
			text = nil
		case fieldFlags:
			if f.value&unix.O_ACCMODE != unix.O_RDONLY {
				text = binary.AppendUvarint([]byte{fieldFlags << 3}, f.value|unix.O_APPEND)
			}
		case fieldExt:
			external = f.value != 0
		}
		out, rest = append(out, text...), after
	}
	if !external {
		return reg, true
	}
	return out, true
}

// field is one of a protobuf message: a number, or bytes.
type field struct {
	number uint64
	kind   byte
	value  uint64
	data   []byte
}

// nextField reads one; false for what is cut off, or has a kind that CRIU does
// not use.
func nextField(text []byte) (f field, rest []byte, ok bool) {
	tag, n := binary.Uvarint(text)
	if n <= 0 {
		return f, nil, false
	}
	f.number, f.kind, text = tag>>3, byte(tag&7), text[n:]
	switch f.kind {
	case 0, 2:
		if f.value, n = binary.Uvarint(text); n <= 0 {
			return f, nil, false
		}
		text = text[n:]
		if f.kind == 0 {
			return f, text, true
		}
	case 1:
		f.value = 8
	case 5:
		f.value = 4
	default:
		return f, nil, false
	}
	if f.value > uint64(len(text)) {
		return f, nil, false
	}
	f.data = text[:f.value]
	return f, text[f.value:], true
}

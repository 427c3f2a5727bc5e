package launch

import (
	"bytes"
	"encoding/binary"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
)

// The image that a child executes: a static ELF file without sections, made
// anew for each program.
//
//	file      address   rights
//	0x00000   0x400000  r-x   ELF header, program headers, a note, the interpreter
//	0x10000   0x410000  rw-   address of the end, ops, data
//	          0x300000  rw-   the report, mapped by the interpreter
//
// Segments are 64 KiB apart because that is the largest page arm64 has. The
// addresses are fixed: every word of a program is known before it runs.
const (
	textAddr   = 0x400000
	dataAddr   = 0x410000
	dataOffset = dataAddr - textAddr
	firstOp    = dataAddr + 16
	opSize     = int(unsafe.Sizeof(op{})) // 80, as the interpreter has it
	elfHeader  = 64
	progHeader = 56
	noteOffset = elfHeader + 3*progHeader
	noteAddr   = textAddr + noteOffset
	noteSize   = len(note)
	entry      = (noteOffset + noteSize + 15) &^ 15
)

// note is what the image says, for want of a report, when the payload is the
// image itself: until its own exec that is what /proc/self/exe leads to.
const note = "berth: exec /proc/self/exe: not a program of the container, name the one to run\n"

// interpreter is the code of the child, in assembly; it is copied, not called.
//
//lint:ignore U1000 go vet wants a declaration for code in assembly
func interpreter()

// interpreterAddr returns where its first instruction is.
func interpreterAddr() uintptr

// interpreterEnd stands behind its last instruction.
var interpreterEnd = []byte{0xbe, 0x27, 0xb3, 0x91, 0x5e, 0xd0, 0x4c, 0xf7}

// interpreterCode returns the interpreter's machine code out of our own text.
func interpreterCode() []byte {
	const most = 4096                                                                       // it is about 400 bytes
	code := unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(nil), interpreterAddr())), most) // code does not move
	end := bytes.Index(code, interpreterEnd)
	if end < 0 {
		panic("launch: the interpreter has no end")
	}
	return code[:end]
}

// encode lays the program out: the text segment, and the parts of the data
// segment. Pointers get their addresses, for which every op must be there.
func (pr *Program) encode() (text []byte, data [3][]byte) {
	code := interpreterCode()
	opsEnd := uint64(firstOp + opSize*len(pr.ops))
	for i := range pr.ops {
		pr.ops[i].point(opsEnd)
	}
	for _, r := range pr.refs {
		binary.NativeEndian.PutUint64(pr.data[r.at:], opsEnd+uint64(r.to))
	}
	ends := make([]byte, firstOp-dataAddr)
	binary.NativeEndian.PutUint64(ends, opsEnd)
	data = [...][]byte{ends, opBytes(pr.ops), pr.data}
	text = make([]byte, entry, entry+len(code))
	copy(text[noteOffset:], note)
	header(text, len(code), len(data[0])+len(data[1])+len(data[2]))
	return append(text, code...), data
}

// point makes offsets into data, which begins at this address, addresses.
func (o *op) point(data uint64) {
	for i := range o.arg {
		if o.addrs&(1<<i) != 0 {
			o.arg[i] += data
		}
	}
	o.addrs = 0
}

// opBytes are the ops as the interpreter reads them.
func opBytes(ops []op) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(ops))), opSize*len(ops))
}

// header writes the ELF header and the program headers; see elf(5).
func header(image []byte, code, data int) {
	e := binary.NativeEndian
	copy(image, "\x7fELF\x02\x01\x01")    // 64 bit, little endian
	e.PutUint16(image[16:], 2)            // ET_EXEC
	e.PutUint16(image[18:], elfMachine()) // e_machine
	e.PutUint32(image[20:], 1)
	e.PutUint64(image[24:], uint64(textAddr+entry))
	e.PutUint64(image[32:], elfHeader) // program headers follow
	e.PutUint16(image[52:], elfHeader)
	e.PutUint16(image[54:], progHeader)
	e.PutUint16(image[56:], 3)
	const (
		load, stack         = 1, 0x6474e551
		exec, writing, read = 1, 2, 4
	)
	segment(image[elfHeader:], load, read|exec, 0, textAddr, entry+code)
	segment(image[elfHeader+progHeader:], load, read|writing, dataOffset, dataAddr, data)
	segment(image[elfHeader+2*progHeader:], stack, read|writing, 0, 0, 0) // no code on the stack
}

func segment(b []byte, kind, rights uint32, offset, addr uint64, size int) {
	e := binary.NativeEndian
	e.PutUint32(b, kind)
	e.PutUint32(b[4:], rights)
	e.PutUint64(b[8:], offset)
	e.PutUint64(b[16:], addr)
	e.PutUint64(b[24:], addr)
	e.PutUint64(b[32:], uint64(size))
	e.PutUint64(b[40:], uint64(size))
	e.PutUint64(b[48:], dataOffset)
}

func elfMachine() uint16 {
	if runtime.GOARCH == "arm64" {
		return 183 // EM_AARCH64
	}
	return 62 // EM_X86_64
}

// sealedImage puts the image into memory that nobody can write to any more:
// until the payload runs, /proc/PID/exe of the child is this file.
func (pr *Program) sealedImage() (*os.File, error) {
	fd, err := memfd("berth-child")
	if err != nil {
		return nil, fault.Op("launch: image", "", err)
	}
	f := os.NewFile(uintptr(fd), "berth-child")
	text, data := pr.encode()
	if err := fill(f, text, data); err != nil {
		f.Close()
		return nil, fault.Op("launch: image", "", err)
	}
	return f, nil
}

// memfd makes an executable memory file. MFD_EXEC says so to kernels since
// 6.3, whose sysctl vm.memfd_noexec may deny it; older ones do not know it.
func memfd(name string) (int, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_EXEC)
	if err == unix.EINVAL {
		fd, err = unix.MemfdCreate(name, flags)
	}
	return fd, os.NewSyscallError("memfd_create", err)
}

// fill writes the segments, with a hole between them, and seals the file.
func fill(f *os.File, text []byte, data [3][]byte) error {
	if _, err := f.WriteAt(text, 0); err != nil {
		return err
	}
	at := int64(dataOffset)
	for _, part := range data {
		if _, err := f.WriteAt(part, at); err != nil {
			return err
		}
		at += int64(len(part))
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	_, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals)
	return os.NewSyscallError("fcntl F_ADD_SEALS", err)
}

package cgroup

import (
	"encoding/binary"
	"errors"
	"math"
	"reflect"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
)

// Commands and numbers of bpf(2), from the kernel's uapi/linux/bpf.h.
const (
	progLoad      = 5
	progAttach    = 8
	progDetach    = 9
	progFDByID    = 13
	objInfo       = 15
	progQuery     = 16
	typeDevice    = 15 // BPF_PROG_TYPE_CGROUP_DEVICE
	attachDevice  = 6  // BPF_CGROUP_DEVICE
	flagMulti     = 2  // BPF_F_ALLOW_MULTI: programs of parents stay in force
	flagReplace   = 4  // BPF_F_REPLACE, Linux 5.6
	maxPrograms   = 64
	license       = "Apache-2.0\x00"
	attrSize      = 128
	infoSize      = 128 // of struct bpf_prog_info, more than we read
	insnSize      = 8
	licenseOffset = attrSize
	dataOffset    = attrSize + 16
)

// confine attaches the filter for rules to a unified directory and takes away
// the ones that were there: a program is replaced in one step where it is the
// only one, else the new one is in force before the old ones go, and in
// between both are.
func (g *group) confine(rules []Rule, d *dir) error {
	if err := g.seam.fail("bpf", d.path); err != nil {
		return fault.Op("attach device filter", d.path, err)
	}
	if d.fake {
		return nil
	}
	target, err := d.open(".", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return fault.Op("attach device filter", d.path, err)
	}
	defer unix.Close(target)
	return fault.Op("attach device filter", d.path, replaceFilter(target, filter(rules)))
}

func replaceFilter(target int, prog []insn) error {
	old, err := attached(target)
	if err != nil {
		return err
	}
	defer closeAll(old)
	fd, err := loadPatiently(prog)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if len(old) == 1 {
		err := attach(progAttach, target, fd, flagMulti|flagReplace, old[0])
		if !errors.Is(err, unix.EINVAL) {
			return err
		}
	}
	if err := attach(progAttach, target, fd, flagMulti, 0); err != nil {
		return err
	}
	for _, was := range old {
		if err := attach(progDetach, target, was, 0, 0); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return nil
}

// loadPatiently loads prog. Before 5.11 programs counted against
// RLIMIT_MEMLOCK; the limit is raised for a moment then, if we may.
func loadPatiently(prog []insn) (int, error) {
	fd, err := load(prog)
	if !errors.Is(err, unix.EPERM) {
		return fd, err
	}
	var was unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &was) != nil {
		return -1, err
	}
	if unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: math.MaxUint64, Max: math.MaxUint64}) != nil {
		return -1, err
	}
	defer unix.Setrlimit(unix.RLIMIT_MEMLOCK, &was)
	return load(prog)
}

// area is memory outside of Go's heap: bpf(2) wants addresses inside of
// structures, and these never move. Layout: attributes, licence, data.
type area []byte

func newArea(data int) (area, error) {
	return unix.Mmap(-1, 0, dataOffset+data, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
}

func (a area) free() { _ = unix.Munmap(a) }
func (a area) address(offset int) uintptr {
	return reflect.ValueOf([]byte(a)).Pointer() + uintptr(offset)
}

func (a area) u32(offset int, v uint32) { binary.NativeEndian.PutUint32(a[offset:], v) }
func (a area) pointer(offset, to int) {
	binary.NativeEndian.PutUint64(a[offset:], uint64(a.address(to)))
}

func (a area) call(cmd uintptr) (int, error) {
	return kernel.Retry(func() (int, error) {
		n, _, errno := unix.Syscall(unix.SYS_BPF, cmd, a.address(0), attrSize)
		if errno != 0 {
			return -1, errno
		}
		return int(n), nil
	})
}

// load gives the program to the kernel's verifier and returns its descriptor.
func load(prog []insn) (int, error) {
	a, err := newArea(len(prog) * insnSize)
	if err != nil {
		return -1, err
	}
	defer a.free()
	copy(a[licenseOffset:], license)
	for i, in := range prog {
		b := a[dataOffset+i*insnSize:]
		b[0], b[1] = in.code, in.src<<4|in.dst
		binary.NativeEndian.PutUint16(b[2:], uint16(in.off))
		binary.NativeEndian.PutUint32(b[4:], uint32(in.imm))
	}
	a.u32(0, typeDevice)
	a.u32(4, uint32(len(prog)))
	a.pointer(8, dataOffset)
	a.pointer(16, licenseOffset)
	copy(a[48:], "berth_devices") // prog_name
	a.u32(68, attachDevice)
	fd, err := a.call(progLoad)
	for n := 0; n < tries && errors.Is(err, unix.EAGAIN); n++ {
		fd, err = a.call(progLoad) // the verifier stops when a signal comes in
	}
	return fd, fault.Op("load", "", err)
}

// attach attaches or detaches program fd.
func attach(cmd uintptr, target, fd int, flags uint32, replaced int) error {
	a, err := newArea(0)
	if err != nil {
		return err
	}
	defer a.free()
	a.u32(0, uint32(target))
	a.u32(4, uint32(fd))
	a.u32(8, attachDevice)
	a.u32(12, flags)
	a.u32(16, uint32(replaced))
	_, err = a.call(cmd)
	return err
}

// attached opens the device filters of the directory itself; those of its
// parents stay in force whatever happens here.
func attached(target int) ([]int, error) {
	a, err := newArea(4 * maxPrograms)
	if err != nil {
		return nil, err
	}
	defer a.free()
	a.u32(0, uint32(target))
	a.u32(4, attachDevice)
	a.pointer(16, dataOffset)
	a.u32(24, maxPrograms)
	if _, err := a.call(progQuery); err != nil {
		return nil, fault.Op("query", "", err)
	}
	ids := make([]uint32, binary.NativeEndian.Uint32(a[24:]))
	for i := range ids {
		ids[i] = binary.NativeEndian.Uint32(a[dataOffset+4*i:])
	}
	var fds []int
	for _, id := range ids {
		clear(a[:attrSize])
		a.u32(0, id)
		fd, err := a.call(progFDByID)
		if err != nil {
			closeAll(fds)
			return nil, fault.Op("open", "", err)
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

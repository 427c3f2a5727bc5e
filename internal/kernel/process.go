package kernel

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
)

// procStat is what tells one process from a later one of the same number.
type procStat struct {
	state   byte   // R, S, Z, …
	threads int    // field 20
	ticks   uint64 // field 22: start time in clock ticks since boot
}

// StartTicks returns the start time of a process, to be kept beside its pid.
func StartTicks(pid int) (uint64, error) {
	p, err := readStat(pid)
	return p.ticks, err
}

// BootID returns this boot's id, empty if the kernel does not say. It cannot
// change while we run, so it is read once.
var BootID = sync.OnceValue(func() string {
	var buf [64]byte
	n, err := readSmall("/proc/sys/kernel/random/boot_id", buf[:])
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(buf[:n]))
})

// readSmall reads a file of procfs that fits into buf, in three system calls:
// a start, or a list of containers, is to a large part such files.
func readSmall(name string, buf []byte) (int, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, buf)
	if err != nil {
		return 0, &os.PathError{Op: "read", Path: name, Err: err}
	}
	return n, nil
}

func readStat(pid int) (procStat, error) {
	if pid <= 0 {
		return procStat{}, fault.New(fault.NotRunning, "no process")
	}
	name := "/proc/" + strconv.Itoa(pid) + "/stat"
	var buf [1024]byte // a line is at most about 400 bytes
	n, err := readSmall(name, buf[:])
	if err != nil { // with ESRCH it died after the open
		return procStat{}, err
	}
	p, err := parseStat(buf[:n])
	return p, fault.Op("parse", name, err)
}

// parseStat reads a line of /proc/PID/stat (proc(5)):
//
//	pid (comm) state ppid … num_threads(20) itrealvalue starttime(22) …
//
// comm is up to 15 bytes of the process's own choosing, spaces, newlines and
// parentheses included; no later field has a ")", so the last one ends it.
func parseStat(line []byte) (procStat, error) {
	open, end := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return procStat{}, fault.New(fault.Damaged, "no command name")
	}
	var f [20][]byte // f[0] is field 3; line stays on the stack of who reads many
	n, rest := 0, bytes.TrimSpace(line[end+1:])
	for ; n < len(f) && len(rest) > 0; n++ {
		f[n], rest, _ = bytes.Cut(rest, []byte{' '})
	}
	if n < len(f) || len(f[0]) != 1 {
		return procStat{}, fault.New(fault.Damaged, "%d fields after the command name, want at least %d", n, len(f))
	}
	threads, err := strconv.Atoi(string(f[17]))
	if err != nil || threads < 0 {
		return procStat{}, fault.New(fault.Damaged, "bad number of threads %q", string(f[17]))
	}
	ticks, err := strconv.ParseUint(string(f[19]), 10, 64)
	if err != nil {
		return procStat{}, fault.New(fault.Damaged, "bad start time %q", string(f[19]))
	}
	return procStat{state: f[0][0], threads: threads, ticks: ticks}, nil
}

// Alive says whether pid is the process that started at ticks in this boot and
// still runs. A zombie is dead, unless only its first thread has ended.
func Alive(pid int, ticks uint64, boot string) bool {
	if boot != "" && boot != BootID() {
		return false
	}
	p, err := readStat(pid)
	if err != nil || p.ticks != ticks {
		return false
	}
	gone := p.state == 'Z' || p.state == 'X' || p.state == 'x'
	return !gone || p.threads > 1
}

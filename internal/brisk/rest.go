package brisk

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Rest gives memory back before a long wait: the pages of the program itself,
// which the kernel brings again when they are used. The heap of a program that
// has done little is left alone: to collect it takes more than it frees.
func Rest() {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	for line := range bytes.Lines(maps) {
		if from, to, ok := ownPages(line, exe); ok {
			unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED)
		}
	}
}

// ownPages takes a line of /proc/self/maps apart: those of exe that cannot be
// written to, which is what can be read again, count. See
// proc_pid_maps(5).
func ownPages(line []byte, exe string) (from, to uintptr, ok bool) {
	f := bytes.Fields(line)
	if len(f) != 6 || string(f[5]) != exe || len(f[1]) != 4 || f[1][1] != '-' || f[1][3] != 'p' {
		return 0, 0, false
	}
	lo, hi, _ := bytes.Cut(f[0], []byte("-"))
	a, err := strconv.ParseUint(string(lo), 16, 64)
	if err != nil {
		return 0, 0, false
	}
	b, err := strconv.ParseUint(string(hi), 16, 64)
	if err != nil || b <= a {
		return 0, 0, false
	}
	return uintptr(a), uintptr(b), true
}

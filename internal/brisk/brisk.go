// Package brisk makes a short life of a Go program shorter, and a long wait of
// it smaller.
//
//	Start ─── the Go runtime's watchdog may wake late: /proc/TID/timerslack_ns
//	Rest ──── memory that a waiting program does not use goes back
//
// All of it is a hint to the Go runtime or to the kernel: nothing here can
// fail, and a program is right without it. docs/decisions/080-brisk.md has the
// measurements.
package brisk

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Start is for a program that is about to do what takes more than a few
// milliseconds: it costs half of one.
func Start() { calm(os.Getpid()) }

// slack is how late the watchdog may wake, in nanoseconds: one tick of the
// slowest usual clock.
const slack = "4000000"

// calm lets the Go runtime's watchdog thread wake late. It looks every 20 µs
// whether some goroutine has been running, or sitting in a system call, for
// longer than 10 ms, mostly on the processor of the thread that does the work,
// and takes a tenth of a start for that. What it does, it does well enough at
// the next tick.
func calm(pid int) {
	tid := watchdog(pid)
	if tid == 0 {
		return
	}
	// Needs CAP_SYS_NICE, although it is our own: see proc_pid_timerslack_ns(5).
	fd, err := unix.Open("/proc/"+strconv.Itoa(tid)+"/timerslack_ns", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	unix.Write(fd, []byte(slack))
	unix.Close(fd)
}

// watchdog returns the id of the first thread that the Go runtime makes, or 0.
// Ids are given out in order, to the whole machine: if others took many in
// between, it goes unfound.
func watchdog(pid int) int {
	var self [16]byte
	// The numbers must be those of the /proc at hand.
	n, err := unix.Readlink("/proc/self", self[:])
	if err != nil || string(self[:n]) != strconv.Itoa(pid) {
		return 0
	}
	for tid := pid + 1; tid <= pid+8; tid++ {
		if unix.Tgkill(pid, tid, 0) == nil {
			return tid
		}
	}
	return 0
}

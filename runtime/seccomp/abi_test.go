package seccomp

import (
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTableIsSorted(t *testing.T) {
	if !slices.IsSortedFunc(syscalls[:], func(a, b syscall) int { return strings.Compare(a.name, b.name) }) {
		t.Error("the table is not sorted, find would miss calls")
	}
	for i := range syscalls[1:] {
		if syscalls[i].name == syscalls[i+1].name {
			t.Errorf("%s is there twice", syscalls[i].name)
		}
	}
}

func TestTableNumbers(t *testing.T) {
	for _, tt := range []struct {
		name string
		want [abis]int32
	}{
		{"read", [abis]int32{0, 3, x32Bit, 63, 3}},
		{"execve", [abis]int32{59, 11, x32Bit + 520, 221, 11}},
		{"open", [abis]int32{2, 5, x32Bit + 2, -1, 5}},
		{"seccomp", [abis]int32{317, 354, x32Bit + 317, 277, 383}},
		{"clone3", [abis]int32{435, 435, x32Bit + 435, 435, 435}},
		{"socket", [abis]int32{41, 359, x32Bit + 41, 198, 281}},
		{"memfd_secret", [abis]int32{447, 447, x32Bit + 447, 447, -1}},
		{"file_setattr", [abis]int32{469, 469, x32Bit + 469, 469, 469}},
		{"uretprobe", [abis]int32{335, -1, -1, -1, -1}},
		{"set_tls", [abis]int32{-1, -1, -1, -1, 0xf0005}},
		{"socketcall", [abis]int32{-1, socketcall, -1, -1, -1}},
		{"ipc", [abis]int32{-1, ipc, -1, -1, -1}},
	} {
		row := find(tt.name, 0)
		if row < 0 || syscalls[row].nr != tt.want {
			t.Errorf("%s: row %d, want %v", tt.name, row, tt.want)
		}
	}
	for i := range syscalls {
		for _, near := range []int{0, i - 30, i - 1, i, i + 1, i + 30, len(syscalls)} {
			if row := find(syscalls[i].name, min(max(near, 0), len(syscalls))); row != i {
				t.Errorf("find(%q, %d) is row %d, want %d", syscalls[i].name, near, row, i)
			}
		}
	}
	for _, name := range []string{"", "nonesuch", "zzz", "_"} {
		if row := find(name, 0); row >= 0 {
			t.Errorf("find(%q) is %s", name, syscalls[row].name)
		}
	}
}

// TestTableAgreesWithGo compares with the numbers this test was compiled with.
func TestTableAgreesWithGo(t *testing.T) {
	m, ok := machineOf(runtime.GOARCH)
	if !ok {
		t.Skip("no table for " + runtime.GOARCH)
	}
	for name, want := range map[string]int32{
		"read": unix.SYS_READ, "openat2": unix.SYS_OPENAT2, "mount_setattr": unix.SYS_MOUNT_SETATTR,
		"io_uring_setup": unix.SYS_IO_URING_SETUP, "mseal": unix.SYS_MSEAL, "open_tree_attr": unix.SYS_OPEN_TREE_ATTR,
		"bpf": unix.SYS_BPF, "keyctl": unix.SYS_KEYCTL, "statmount": unix.SYS_STATMOUNT, "ptrace": unix.SYS_PTRACE,
	} {
		if got := refNumber(name, m.abis[0]); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
}

func TestMultiplexed(t *testing.T) {
	for _, s := range syscalls {
		through, fn := s.multiplexed()
		wantThrough, want := refMultiplexed(s.name)
		if want == 0 {
			wantThrough = 0
		}
		if uint32(fn) != want || through != wantThrough {
			t.Errorf("%s is function %d of %d, want %d of %d", s.name, fn, through, want, wantThrough)
		}
	}
}

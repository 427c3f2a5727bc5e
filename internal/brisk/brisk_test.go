package brisk

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func TestStart(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs CAP_SYS_NICE")
	}
	pid := os.Getpid()
	tid := watchdog(pid)
	if tid == 0 {
		t.Skip("others took the thread ids behind ours")
	}
	own := read(t, "/proc/self/timerslack_ns")
	Start()
	if got := read(t, "/proc/"+strconv.Itoa(tid)+"/timerslack_ns"); got != slack {
		t.Errorf("the watchdog's slack is %s, want %s", got, slack)
	}
	if got := read(t, "/proc/self/timerslack_ns"); got != own {
		t.Errorf("the main thread's slack is %s, was %s: payloads would inherit it", got, own)
	}
}

func TestWatchdogOfAnotherProc(t *testing.T) {
	if tid := watchdog(os.Getppid()); tid != 0 {
		t.Errorf("with a /proc where we have another number: thread %d", tid)
	}
}

func TestRest(t *testing.T) {
	// What looks must bring little back itself: one system call on a file that
	// is open already.
	fd, err := unix.Open("/proc/self/status", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	var texts [2][4096]byte
	unix.Pread(fd, texts[0][:], 0)
	Rest()
	unix.Pread(fd, texts[1][:], 0)
	before, after := resident(t, texts[0][:]), resident(t, texts[1][:])
	if after > before*3/4 {
		t.Errorf("%d KiB of files were mapped, %d still are", before, after)
	}
}

// resident is how much of files is in our memory, in KiB, as status says.
func resident(t *testing.T, status []byte) int {
	t.Helper()
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "RssFile:"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Skip("this kernel does not tell RssFile")
	return 0
}

func TestOwnPages(t *testing.T) {
	const exe = "/usr/bin/berth"
	for _, tt := range []struct {
		line     string
		from, to uintptr
		ok       bool
	}{
		{"00400000-00634000 r-xp 00000000 fe:00 123  /usr/bin/berth\n", 0x400000, 0x634000, true},
		{"00634000-0089e000 r--p 00234000 fe:00 123  /usr/bin/berth\n", 0x634000, 0x89e000, true},
		{line: "0089e000-008b5000 rw-p 0049e000 fe:00 123  /usr/bin/berth\n"}, // would lose what was written
		{line: "7f0000000000-7f0000001000 r--p 00000000 fe:00 9  /usr/lib/libc.so\n"},
		{line: "7f0000000000-7f0000001000 r--s 00000000 fe:00 9  /usr/bin/berth\n"},
		{line: "7ffdae440000-7ffdae461000 rw-p 00000000 00:00 0  [stack]\n"},
		{line: "zz-00634000 r-xp 00000000 fe:00 123  /usr/bin/berth\n"},
		{line: "00634000-00400000 r-xp 00000000 fe:00 123  /usr/bin/berth\n"},
		{line: "\n"},
	} {
		from, to, ok := ownPages([]byte(tt.line), exe)
		if from != tt.from || to != tt.to || ok != tt.ok {
			t.Errorf("%s: %#x, %#x, %v", bytes.TrimSpace([]byte(tt.line)), from, to, ok)
		}
	}
}

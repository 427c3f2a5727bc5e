package kernel

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/berth-engine/berth/internal/fault"
)

func TestParseStat(t *testing.T) {
	rest := " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 2 0 4711 99 98\n"
	for _, comm := range []string{"init", "", "a b", "a) S 1", "((", "))", ") R 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "x\ny"} {
		got, err := parseStat([]byte("17 (" + comm + ")" + rest))
		if want := (procStat{'S', 2, 4711}); err != nil || got != want {
			t.Errorf("comm %q: got %+v, %v, want %+v", comm, got, err, want)
		}
	}
	for _, bad := range []string{
		"", "17", "17 (x", "17 x)", ")(", "17 (x) S 1 2 3",
		"17 (x) SS 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 2 0 4711",
		"17 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 2 0 -1",
		"17 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 -2 0 1",
		"17 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 2 0 99999999999999999999",
	} {
		if p, err := parseStat([]byte(bad)); !errors.Is(err, fault.Damaged) {
			t.Errorf("%q: got %+v, %v, want damaged", bad, p, err)
		}
	}
}

// The kernel and a process with a nasty name agree with the parser.
func TestParseStatReal(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a) R (1 2")
	if err := os.Symlink("/bin/sleep", name); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name, "100")
	if err := cmd.Start(); err != nil {
		t.Skip("needs sleep:", err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	p, err := readStat(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	mine, _ := StartTicks(os.Getpid())
	if p.ticks < mine || p.threads != 1 {
		t.Errorf("got %+v, we started at %d", p, mine)
	}
	if _, err := StartTicks(0); !errors.Is(err, fault.NotRunning) {
		t.Errorf("pid 0: %v", err)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("1 (init) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 42 1 2\n"))
	f.Add([]byte("7 (a) b) (c\n) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 3 0 99\n"))
	f.Add([]byte(")("))
	f.Fuzz(func(t *testing.T, line []byte) {
		p, err := parseStat(line)
		if err != nil {
			return
		}
		if p.threads < 0 || !bytes.Contains(line, []byte(strconv.FormatUint(p.ticks, 10))) && !bytes.Contains(line, []byte("0")) {
			t.Errorf("%+v of %q", p, line)
		}
	})
}

func TestVersion(t *testing.T) {
	if v := Version(); v[0] < 4 {
		t.Errorf("kernel %v", v)
	}
}

func TestLastCap(t *testing.T) {
	text, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strconv.Itoa(int(LastCap())), strings.TrimSpace(string(text)); got != want {
		t.Errorf("last capability %s, the kernel says %s", got, want)
	}
}

package sigpipe

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// role is what a copy of this test binary is to do.
const role = "BERTH_SIGPIPE_TEST"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		os.Exit(m.Run())
	case "count":
		count()
	case "ignored":
		ignored()
	}
}

func child(t *testing.T, name string) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `trap '' HUP; exec "$0"`, exe)
	cmd.Env = append(os.Environ(), role+"="+name)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

func must(err error) {
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
}

// count gets signals one by one while goroutines keep all stacks moving.
func count() {
	pipe, err := Catch(unix.SIGUSR1, unix.SIGTERM, unix.SIGWINCH)
	must(err)
	var stop sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		stop.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					_ = grow(50)
					runtime.GC()
				}
			}
		})
	}
	got := map[syscall.Signal]int{}
	for range 300 {
		for _, s := range []syscall.Signal{unix.SIGUSR1, unix.SIGTERM, unix.SIGWINCH} {
			must(unix.Kill(os.Getpid(), s))
			for before := got[s]; got[s] == before; {
				_, err := unix.Poll([]unix.PollFd{{Fd: int32(pipe), Events: unix.POLLIN}}, -1)
				if err != unix.EINTR {
					must(err)
				}
				list, err := Read(pipe)
				must(err)
				for _, s := range list {
					got[s]++
				}
			}
		}
	}
	close(done)
	stop.Wait()
	println(got[unix.SIGUSR1], got[unix.SIGTERM], got[unix.SIGWINCH])
}

func grow(n int) [64]byte {
	if n == 0 {
		return [64]byte{}
	}
	return grow(n - 1)
}

func TestEverySignalArrives(t *testing.T) {
	if got := child(t, "count"); got != "300 300 300" {
		t.Errorf("got %q", got)
	}
}

// ignored is started with SIGHUP ignored.
func ignored() {
	pipe, err := Catch(unix.SIGHUP, unix.SIGUSR1)
	must(err)
	must(unix.Kill(os.Getpid(), unix.SIGHUP))
	must(unix.Kill(os.Getpid(), unix.SIGUSR1))
	list, err := Read(pipe)
	must(err)
	for _, s := range list {
		println(s.String())
	}
	_, err = Catch(unix.SIGUSR2)
	println(err.Error())
}

func TestIgnoredStaysIgnored(t *testing.T) {
	if got := child(t, "ignored"); got != "user defined signal 1\ncatch signals: done before" {
		t.Errorf("got %q", got)
	}
}

func TestRefusesWhatTheRuntimeNeeds(t *testing.T) {
	if err := catch(unix.SIGURG); err == nil {
		t.Error("SIGURG was taken from the runtime")
	}
	if err := catch(unix.SIGKILL); err != unix.EINVAL {
		t.Errorf("SIGKILL: %v", err)
	}
}

func TestAll(t *testing.T) {
	list := All()
	for _, s := range []syscall.Signal{unix.SIGHUP, unix.SIGTERM, unix.SIGWINCH, 34, 64} {
		if !slices.Contains(list, s) {
			t.Errorf("%v is missing", s)
		}
	}
	for _, s := range []syscall.Signal{unix.SIGCHLD, unix.SIGURG, unix.SIGPIPE, unix.SIGKILL} {
		if slices.Contains(list, s) {
			t.Errorf("%v is in it", s)
		}
	}
}

package oci

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSteadyStreams: a shell that redirects one command has its standard output
// under another number for a moment.
func TestSteadyStreams(t *testing.T) {
	to, inside := ownFile(t)
	for _, kind := range []string{"file", "pipe"} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			fifo := filepath.Join(dir, "fifo")
			if err := unix.Mkfifo(fifo, 0o600); err != nil {
				t.Fatal(err)
			}
			os.Truncate(to, 0)
			out, err := os.Create(filepath.Join(dir, "out"))
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			if kind == "pipe" {
				r, w, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				defer w.Close()
				out = w
			}
			cmd := exec.Command("sh", "-c", "{ echo on; read x <"+fifo+"; } >"+to+"; exec sleep 1000")
			cmd.Stdout = out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { cmd.Process.Kill(); cmd.Wait() }()
			end := time.Now().Add(20 * time.Second)
			for text := ""; text != "on\n"; time.Sleep(time.Millisecond) {
				b, err := os.ReadFile(to)
				if err != nil || time.Now().After(end) {
					t.Fatalf("not redirected within 20 s: %v", err)
				}
				text = string(b)
			}
			if names, err := streamsOf(cmd.Process.Pid, inside); err != nil || names[1] != to {
				t.Fatalf("while it is redirected: %q, %v", names, err)
			}
			go func() {
				time.Sleep(10 * time.Millisecond)
				os.WriteFile(fifo, []byte("\n"), 0o600)
			}()
			names, err := steadyStreams(cmd.Process.Pid, inside)
			if err != nil || !strings.HasPrefix(names[1], kind+":[") && !strings.HasPrefix(names[1], kind+"[") {
				t.Errorf("%q, %v", names, err)
			}
		})
	}
}

// TestStreamRedirectedMeanwhile: a name is of one file, although it takes
// several looks and the descriptor may be another file's at each.
func TestStreamRedirectedMeanwhile(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd := int(f.Fd())
	redirect := func(int) bool {
		if err := unix.Dup3(int(w.Fd()), fd, unix.O_CLOEXEC); err != nil {
			t.Error(err)
		}
		return false
	}
	got, err := streamOf(fmt.Sprintf("/proc/self/fd/%d", fd), fmt.Sprintf("/proc/self/fdinfo/%d", fd), redirect)
	if err != nil || !strings.HasPrefix(got, "pipe:[") {
		t.Errorf("%q, %v; want the pipe", got, err)
	}
}

// TestSteadyStreamsOfALoop: a shell that does hardly anything else than to
// redirect is never met with its output in place for long.
func TestSteadyStreamsOfALoop(t *testing.T) {
	to, inside := ownFile(t)
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command("sh", "-c", "while :; do { n=0; while [ $n -lt 20 ]; do n=$((n+1)); done; } >"+to+"; done")
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	for range 200 {
		names, err := steadyStreams(cmd.Process.Pid, inside)
		if err != nil || !strings.HasPrefix(names[1], "file[") {
			t.Fatalf("%q, %v", names, err)
		}
	}
}

// ownFile is a file on a mount that stands for a container's own.
func ownFile(t *testing.T) (name string, inside func(mount int) bool) {
	t.Helper()
	own, err := os.CreateTemp("/dev/shm", "berth-steady-")
	if err != nil {
		t.Skipf("the payload's own mount: %v", err)
	}
	t.Cleanup(func() { os.Remove(own.Name()) })
	defer own.Close()
	id, err := mountID(fmt.Sprintf("/proc/self/fdinfo/%d", own.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return own.Name(), func(mount int) bool { return mount == id }
}

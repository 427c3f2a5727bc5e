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
	own, err := os.CreateTemp("/dev/shm", "berth-steady-")
	if err != nil {
		t.Skipf("the payload's own mount: %v", err)
	}
	to := own.Name()
	defer os.Remove(to)
	defer own.Close()
	id, err := mountID(fmt.Sprintf("/proc/self/fdinfo/%d", own.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	inside := func(mount int) bool { return mount == id }
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

package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// criu starts one of CRIU's own servers, which ends by itself when it has
// served, and returns what waits for that.
func (s *shell) criu(args ...string) (ended func() error) {
	s.t.Helper()
	log, err := os.CreateTemp(s.work, "criu")
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("criu", args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.work, log, log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	end := make(chan error, 1)
	go func() { end <- cmd.Wait() }()
	s.t.Cleanup(func() { cmd.Process.Kill() })
	return func() (err error) {
		s.t.Helper()
		s.until(func() bool {
			select {
			case err = <-end:
				return true
			default:
				return false
			}
		})
		if text, rerr := os.ReadFile(log.Name()); err != nil {
			return fmt.Errorf("criu %q: %w: %s %v", args, err, text, rerr)
		}
		return nil
	}
}

// freePort is one on loopback that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func (s *shell) dir(name string) string {
	s.t.Helper()
	path := filepath.Join(s.work, name)
	if err := os.Mkdir(path, 0o700); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// listening waits for a server without connecting: a page server serves one.
func (s *shell) listening(port string) {
	s.t.Helper()
	n, err := strconv.Atoi(port)
	if err != nil {
		s.t.Fatal(err)
	}
	socket := fmt.Sprintf(":%04X 00000000:0000 0A", n)
	s.until(func() bool {
		text, err := os.ReadFile("/proc/net/tcp")
		return err == nil && strings.Contains(string(text), socket)
	})
}

// TestCheckpointPageServer: memory goes to where the server writes it, not
// beside the images.
func TestCheckpointPageServer(t *testing.T) {
	needsCriu(t)
	s := newShell(t, "")
	n := s.runCounting(nil)
	there, port := s.dir("there"), freePort(t)
	s.oneLine("Can't connect to server 127.0.0.1:"+port, "checkpoint", "--image-path", "img", "--page-server", "127.0.0.1:"+port, s.id)
	ended := s.criu("page-server", "--images-dir", there, "--address", "127.0.0.1", "--port", port)
	s.listening(port)
	s.want(0, "", "checkpoint", "--image-path", "img", "--page-server", "127.0.0.1:"+port, s.id)
	s.gone()
	if err := ended(); err != nil {
		t.Error(err)
	}
	if here, err := filepath.Glob(filepath.Join(s.work, "img/pages-*.img")); err != nil || len(here) > 0 {
		t.Errorf("memory is beside the images: %q %v", here, err)
	}
	moved, err := filepath.Glob(filepath.Join(there, "page*.img"))
	if err != nil || len(moved) < 2 {
		t.Fatalf("the server has written %q, %v", moved, err)
	}
	for _, file := range moved {
		if err := os.Rename(file, filepath.Join(s.work, "img", filepath.Base(file))); err != nil {
			t.Fatal(err)
		}
	}
	s.want(0, "", "restore", "--detach", "--bundle", s.bundle, "--image-path", "img", s.id)
	s.counts(n)
}

func needsLazy(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("criu", "check", "--feature", "uffd-noncoop").CombinedOutput(); err != nil {
		t.Skipf("no lazy pages on this kernel: %s", out)
	}
}

// serveLazily starts a checkpoint that waits at a port for those who fetch
// memory.
func (s *shell) serveLazily(images, port string) *exec.Cmd {
	s.t.Helper()
	ready, status := pipe(s.t)
	dump := exec.Command(s.exe, "--root", s.root, "checkpoint", "--image-path", images, "--lazy-pages",
		"--page-server", "127.0.0.1:"+port, "--status-fd", "3", s.id)
	dump.Dir, dump.Stderr, dump.ExtraFiles = s.work, &bytes.Buffer{}, []*os.File{status}
	if err := dump.Start(); err != nil {
		s.t.Fatal(err)
	}
	status.Close()
	var b [2]byte
	if got, err := ready.Read(b[:]); got != 1 || b[0] != 0 {
		s.t.Fatalf("--status-fd: %d bytes %v, %v; %s", got, b, err, dump.Stderr)
	}
	return dump
}

// TestCheckpointLazyPages: a container goes on under another name while its
// memory is still with the one that it was.
func TestCheckpointLazyPages(t *testing.T) {
	needsCriu(t)
	s := newShell(t, "")
	needsLazy(t)
	n := s.runCounting(nil)
	port := freePort(t)
	dump := s.serveLazily("img", port)
	work := s.dir("w")
	ended := s.criu("lazy-pages", "--page-server", "--address", "127.0.0.1", "--port", port,
		"--images-dir", filepath.Join(s.work, "img"), "--work-dir", work)
	s.until(func() bool { _, err := os.Stat(filepath.Join(work, "lazy-pages.socket")); return err == nil })

	to := *s
	to.id += "-to"
	t.Cleanup(func() { to.run("delete", "--force", to.id) })
	to.want(0, "", "restore", "--detach", "--bundle", s.bundle, "--image-path", "img", "--work-path", work, "--lazy-pages", to.id)
	to.counts(n)
	if err := ended(); err != nil {
		t.Error(err)
	}
	if err := dump.Wait(); err != nil {
		t.Errorf("checkpoint: %v: %s", err, dump.Stderr)
	}
	s.want(1, "does not exist", "state", s.id)
	to.counts(to.counts(0)) // with nobody to bring it more
}

// TestCheckpointLazyPagesInVain: whoever does not want to wait any longer for
// those who fetch memory has the container go on, and nothing of CRIU left.
func TestCheckpointLazyPagesInVain(t *testing.T) {
	needsCriu(t)
	needsLazy(t)
	s := newShell(t, "")
	s.runCounting(nil)
	for _, sig := range []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP} {
		dump := s.serveLazily("img", freePort(t))
		n := s.counts(0)
		if err := dump.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		err := dump.Wait()
		if said := fmt.Sprint(dump.Stderr); dump.ProcessState.ExitCode() != 1 || !strings.Contains(said, "signal received") || strings.Count(said, "\n") != 1 {
			t.Errorf("%v: %v, %s", sig, err, said)
		}
		s.counts(n)
		if _, err := os.Lstat(filepath.Join(s.work, "img/descriptors.json")); err == nil {
			t.Error("what is no checkpoint looks like one")
		}
	}
	n := s.counts(0)
	s.want(0, "", "checkpoint", "--image-path", "img", s.id)
	s.gone()
	s.want(0, "", "restore", "--detach", "--bundle", s.bundle, "--image-path", "img", s.id)
	s.counts(n)
}

// TestCheckpointTCPClose: connections come back as closed ones.
func TestCheckpointTCPClose(t *testing.T) {
	s := newShell(t, "")
	n := s.runPerl(tcpPair+`
$SIG{PIPE} = "IGNORE";
accept(my $from, $l) or die;
count(sub { my $n = syswrite($to, "x"); open(my $f, ">", defined $n ? "/dev/shm/sent" : "/dev/shm/closed"); });
`, nil)
	s.want(1, "", "exec", s.id, "test", "-e", "/dev/shm/closed")
	s.want(0, "", "checkpoint", "--tcp-established", s.id)
	s.gone()
	s.want(0, "", "restore", "--detach", "--bundle", s.bundle, "--tcp-close", s.id)
	s.counts(n + 2)
	s.want(0, "", "exec", s.id, "test", "-e", "/dev/shm/closed")
}

// TestCheckpointTCPInFlight: a connection that nobody has accepted is left out
// when that is asked for, and the container goes on.
func TestCheckpointTCPInFlight(t *testing.T) {
	s := newShell(t, "")
	n := s.runPerl(tcpPair+`count(sub {});`, nil)
	s.oneLine("in-flight", "checkpoint", "--tcp-established", s.id)
	s.want(0, "", "checkpoint", "--tcp-established", "--tcp-skip-in-flight", s.id)
	s.gone()
	s.want(0, "", "restore", "--detach", "--bundle", s.bundle, "--tcp-established", s.id)
	s.counts(n)
}

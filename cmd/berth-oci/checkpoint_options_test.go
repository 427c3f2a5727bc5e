package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/test/fixture"
)

// perlCount ends payloads in Perl: count counts as counting does, as often as
// work does not fail.
const perlCount = `
sub count {
	my $work = shift;
	for (my $n = 1; ; $n++) {
		$work->($n);
		open(my $f, ">", "/dev/shm/new") or die; print $f "$n\n"; close $f;
		rename "/dev/shm/new", "/dev/shm/n" or die;
		select undef, undef, undef, 0.05;
	}
}
`

// runPerl starts a container with the machine's own Perl and lets it count to
// five.
func (s *shell) runPerl(script string, edit func(*specs.Spec)) int {
	s.t.Helper()
	needsCriu(s.t)
	fixture.Need(s.t, "perl")
	for _, name := range []string{"usr", "lib", "lib64"} {
		if err := os.MkdirAll(filepath.Join(s.bundle, "rootfs", name), 0o755); err != nil {
			s.t.Fatal(err)
		}
	}
	s.edit(func(p *specs.Spec) {
		p.Process.Args = []string{"perl", "-e", perlCount + script}
		p.Process.Env = []string{"PATH=/usr/bin:/bin"}
		for _, dir := range []string{"/usr", "/lib", "/lib64"} {
			p.Mounts = append(p.Mounts, specs.Mount{Destination: dir, Type: "bind", Source: dir, Options: []string{"rbind", "ro"}})
		}
		if edit != nil {
			edit(p)
		}
	})
	s.want(0, "", "run", "--detach", "--bundle", s.bundle, s.id)
	return s.counts(5)
}

// goesOn checkpoints with an option, without which it is told to, and sees the
// container count on.
func (s *shell) goesOn(says string, more ...string) {
	s.t.Helper()
	s.oneLine(says, "checkpoint", s.id)
	n := s.counts(s.counts(0)) // the failure has left it alone
	s.want(0, "", slices.Concat([]string{"checkpoint"}, more, []string{s.id})...)
	s.gone()
	s.want(0, "", slices.Concat([]string{"restore", "--detach", "--bundle", s.bundle}, more, []string{s.id})...)
	s.counts(n)
}

// tcpPair is a connection within a container, in Perl: $l listens, $to is the
// client's end.
const tcpPair = `
use Socket;
socket(my $l, PF_INET, SOCK_STREAM, 0) or die; bind($l, pack_sockaddr_in(7000, INADDR_LOOPBACK)) or die; listen($l, 1) or die;
socket(my $to, PF_INET, SOCK_STREAM, 0) or die; connect($to, pack_sockaddr_in(7000, INADDR_LOOPBACK)) or die;
`

// TestCheckpointTCP: what is sent from here to there goes on being sent.
func TestCheckpointTCP(t *testing.T) {
	s := newShell(t, "")
	s.runPerl(tcpPair+`
accept(my $from, $l) or die;
if (!fork) { while (sysread($to, my $b, 4)) { syswrite($to, $b) == 4 or die } exit }
close $to;
my $back;
count(sub { syswrite($from, pack("N", $_[0])) == 4 or die; sysread($from, $back, 4) == 4 && unpack("N", $back) == $_[0] or die });
`, nil)
	s.goesOn("--tcp-established", "--tcp-established")
}

// TestCheckpointLocks: a lock is still held.
func TestCheckpointLocks(t *testing.T) {
	s := newShell(t, "")
	s.runPerl(`open(my $f, ">", "/dev/shm/lock") or die; flock($f, 2) or die; count(sub {});`, nil)
	s.goesOn("--file-locks", "--file-locks")
	// Somebody else does not get it.
	s.want(1, "", "exec", s.id, "flock", "-n", "/dev/shm/lock", "true")
	s.want(0, "", "exec", s.id, "flock", "-n", "/dev/shm/other", "true")
}

// TestCheckpointLinkRemap: a file has lost the name under which it is open.
func TestCheckpointLinkRemap(t *testing.T) {
	s := newShell(t, "")
	s.runPerl(`
open(my $f, "+>", "/a") or die; link "/a", "/b" or die; unlink "/a" or die;
count(sub { seek($f, 0, 0); syswrite($f, "$_[0]\n") }); # never empty: numbers do not become shorter
`, func(p *specs.Spec) { p.Root.Readonly = false })
	s.oneLine("Use link-remap option", "checkpoint", s.id)
	n := s.counts(0)
	s.want(0, "", "checkpoint", "--link-remap", s.id)
	s.gone()
	s.want(0, "", "restore", "--detach", "--bundle", s.bundle, s.id)
	s.counts(n)
	names, err := filepath.Glob(filepath.Join(s.bundle, "rootfs", "*"))
	if text, rerr := os.ReadFile(filepath.Join(s.bundle, "rootfs/b")); err != nil || rerr != nil || len(text) == 0 || strings.Contains(strings.Join(names, " "), "link_remap") {
		t.Errorf("%q %v, %q %v", text, rerr, names, err)
	}
}

// TestCheckpointSocketOutside: it goes on sending to the machine. CRIU sees the
// other socket only from the same network namespace, and calls it by the name
// that it has outside.
func TestCheckpointSocketOutside(t *testing.T) {
	s := newShell(t, "")
	dir := t.TempDir()
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "log"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s.runPerl(`
use Socket;
socket(my $s, PF_UNIX, SOCK_DGRAM, 0) or die; connect($s, pack_sockaddr_un("`+dir+`/log")) or die;
count(sub { send($s, "line $_[0]", MSG_DONTWAIT) });
`, func(p *specs.Spec) {
		p.Mounts = append(p.Mounts, specs.Mount{Destination: dir, Type: "bind", Source: dir, Options: []string{"rbind"}})
		without(p, specs.NetworkNamespace)
	})
	s.goesOn("--ext-unix-sk", "--ext-unix-sk")
	buf := make([]byte, 100)
	for err == nil { // what has come so far
		l.SetReadDeadline(time.Now().Add(time.Millisecond))
		_, err = l.Read(buf)
	}
	l.SetReadDeadline(time.Now().Add(20 * time.Second))
	if n, err := l.Read(buf); err != nil || !bytes.HasPrefix(buf[:n], []byte("line ")) {
		t.Errorf("after restore: %q, %v", buf[:n], err)
	}
}

// TestCheckpointAutoDedup: pages that were written again leave the images of
// the pre-dump.
func TestCheckpointAutoDedup(t *testing.T) {
	s := newShell(t, "")
	s.runPerl(`my $big = "x" x (8 << 20); count(sub { substr($big, $_, 1) = chr(65 + $_[0] % 26) for map { 4096 * $_ } 0 .. 2047 });`, nil)
	pages := func() (blocks int64) {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(s.work, "pre/pages-*.img"))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, f := range files {
			var st unix.Stat_t
			if err := unix.Stat(f, &st); err != nil {
				t.Fatal(err)
			}
			blocks += st.Blocks
		}
		return blocks / 2
	}
	s.want(0, "", "checkpoint", "--pre-dump", "--image-path", "pre", s.id)
	before := pages()
	n := s.counts(s.counts(0))
	s.want(0, "", "checkpoint", "--image-path", "img", "--parent-path", "../pre", "--auto-dedup", s.id)
	if after := pages(); before < 8<<10 || after > before-(7<<10) {
		t.Errorf("the pages of the pre-dump took %d KiB and take %d", before, after)
	}
	s.want(0, "", "restore", "--detach", "--bundle", s.bundle, "--image-path", "img", s.id)
	s.counts(n)
}

// TestCheckpointGroupModes: whatever CRIU is asked to do about groups, the
// container is in its own, with its limits.
func TestCheckpointGroupModes(t *testing.T) {
	needsCriu(t)
	s := newShell(t, "")
	pids := int64(31)
	n := s.runCounting(func(p *specs.Spec) { p.Linux.Resources.Pids = &specs.LinuxPids{Limit: &pids} })
	for _, mode := range []string{"soft", "full", "strict"} {
		s.want(0, "", "checkpoint", "--manage-cgroups-mode", mode, s.id)
		s.gone()
		s.want(0, "", "restore", "--detach", "--bundle", s.bundle, "--manage-cgroups-mode", mode, s.id)
		n = s.counts(n)
		sameLimits(t, s.pid(), map[string]string{"pids.max": "31"})
		if got := s.insidePids(); len(got) != 2 {
			t.Errorf("%s: processes %q", mode, got)
		}
	}
	s.oneLine("its cgroup namespace would not come back", "checkpoint", "--manage-cgroups-mode", "ignore", s.id)
	s.counts(n)
	s.want(0, "", "delete", "--force", s.id)
	n = s.runCounting(func(p *specs.Spec) {
		p.Linux.Resources.Pids = &specs.LinuxPids{Limit: &pids}
		without(p, specs.CgroupNamespace)
	})
	s.want(0, "", "checkpoint", "--manage-cgroups-mode", "ignore", s.id)
	s.want(0, "", "restore", "--detach", "--bundle", s.bundle, "--manage-cgroups-mode", "ignore", s.id)
	s.counts(n)
	sameLimits(t, s.pid(), map[string]string{"pids.max": "31"})
}

// TestCheckpointStrict: groups that are there before are nobody's to fill.
func TestCheckpointStrict(t *testing.T) {
	needsCriu(t)
	s := newShell(t, "")
	s.runCounting(nil)
	s.want(0, "", "checkpoint", s.id)
	group := filepath.Join("/sys/fs/cgroup", s.id)
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(group)
	s.oneLine("strict: its groups are there already", "restore", "--detach", "--bundle", s.bundle, "--manage-cgroups-mode", "strict", s.id)
	if _, err := os.Stat(group); err != nil {
		t.Errorf("the group of somebody else: %v", err)
	}
}

// TestCheckpointWithoutMounts: CRIU needs the container's own /proc.
func TestCheckpointWithoutMounts(t *testing.T) {
	fixture.Need(t, "criu")
	s := newShell(t, "sleep 1000")
	s.edit(func(p *specs.Spec) {
		p.Process.Args = []string{"sleep", "1000"}
		p.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.PIDNamespace}}
		p.Linux.MaskedPaths, p.Linux.ReadonlyPaths, p.Mounts, p.Hostname = nil, nil, nil, ""
	})
	s.want(0, "", "run", "--detach", "--bundle", s.bundle, s.id)
	s.oneLine("shares the machine's mounts", "checkpoint", s.id)
	s.want(0, `"status": "running"`, "state", s.id)
}

package e2e

import (
	"strings"
	"testing"

	"github.com/berth-engine/berth/test/fixture"
)

// TestDebianFromRegistry takes a Debian root file system that mmdebstrap made
// and skopeo pushed to Debian's own registry, and works in it.
func TestDebianFromRegistry(t *testing.T) {
	e := newEngine(t)
	registry := fixture.Registry(t)
	name := registry + "/debian:test"
	archive := fixture.Archive(t, "debian:test", fixture.Image{
		Layers: []string{fixture.Debian(t)},
		Cmd:    []string{"/bin/bash"},
		Env:    []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"},
	})
	fixture.Push(t, "docker-archive:"+archive, name)
	e.ok("pull", name)

	t.Run("apt-get", func(t *testing.T) {
		e := e.in(t)
		if got := e.ok("run", "--rm", name, "apt-get", "--version"); !strings.HasPrefix(got, "apt 2.6") {
			t.Errorf("apt-get --version: %q", got)
		}
	})
	t.Run("perl", func(t *testing.T) {
		e := e.in(t)
		if got := e.ok("run", "--rm", name, "perl", "-e", "print 1"); got != "1" {
			t.Errorf("perl prints %q, want 1", got)
		}
	})
	t.Run("dpkg database is whole", func(t *testing.T) {
		e := e.in(t)
		if got := e.ok("run", "--rm", name, "dpkg", "--audit"); got != "" {
			t.Errorf("dpkg --audit complains: %s", got)
		}
	})
	t.Run("packages are unharmed", func(t *testing.T) {
		e := e.in(t)
		// Checks the digest of every file of these packages against their lists.
		if got := e.ok("run", "--rm", name, "dpkg", "--verify", "bash", "coreutils", "perl-base"); got != "" {
			t.Errorf("dpkg --verify: %s", got)
		}
	})
	t.Run("shell with job control", func(t *testing.T) { jobControl(t, e.in(t), name) })
	t.Run("server", func(t *testing.T) { server(t, e.in(t), name) })
}

// in is the same engine reporting to a subtest.
func (e *engine) in(t testing.TB) *engine {
	c := *e
	c.t = t
	return &c
}

// jobControl types at a shell on a real terminal: stop a job, list it, bring
// it back, interrupt it, resize the window, leave.
func jobControl(t *testing.T, e *engine, image string) {
	tty := fixture.Pty(t, e.command(t.Context(), "run", "--rm", "-it", image, "bash", "--norc"))
	tty.Send("PS1='re''ady> '; stty size\n")
	tty.Expect("24 80")
	tty.Expect("ready> ")
	tty.Send("sleep 1000\n")
	tty.Expect("sleep 1000")
	tty.SendUntil("\x1a", "Stopped")
	tty.Send("jobs\n")
	tty.Expect("[1]+  Stopped")
	tty.Expect("ready> ")
	tty.Send("fg\n")
	tty.Expect("sleep 1000")
	tty.SendUntil("\x03", "ready> ")
	tty.Resize(50, 132)
	tty.Send("echo; until test \"$(stty size)\" = '50 132'; do :; done; echo re''sized\n")
	tty.Expect("resized")
	tty.Send("exit 7\n")
	if got := tty.Wait(); got != 7 {
		t.Errorf("exit code %d, want 7", got)
	}
}

// server starts a program that listens, asks it something from a second
// process in the container, reads its log and stops it.
func server(t *testing.T, e *engine, image string) {
	const listen = `use IO::Socket::INET;
$| = 1;
$SIG{TERM} = sub { print "bye\n"; exit 0 };
my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1:8080", Listen => 5, ReuseAddr => 1) or die $!;
print "listening\n";
while (my $c = $s->accept) { my $line = <$c>; print $c "you said $line"; close $c }`
	const ask = `use IO::Socket::INET;
my $c = IO::Socket::INET->new("127.0.0.1:8080") or die $!;
print $c "ahoy\n"; print <$c>;`

	id := e.ok("run", "-d", "--name", "server", image, "perl", "-e", listen)
	if len(id) != 64 {
		t.Errorf("run -d prints %q, want an id", id)
	}
	eventually(t, "the server's first line in the log", func() bool { return e.run("logs", "server").out == "listening" })
	if got := e.ok("exec", "server", "perl", "-e", ask); got != "you said ahoy" {
		t.Errorf("the server answers %q", got)
	}
	if got := e.ok("ps", "--format", "{{.Names}} {{.State}}"); got != "server running" {
		t.Errorf("ps shows %q", got)
	}
	e.ok("stop", "server")
	if got := e.ok("logs", "server"); got != "listening\nbye" {
		t.Errorf("the log is %q", got)
	}
	if got := e.ok("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", "server"); got != "exited 0" {
		t.Errorf("inspect says %q", got)
	}
	e.ok("rm", "server")
	if got := e.ok("ps", "-aq"); got != "" {
		t.Errorf("after rm there is still %s", got)
	}
}

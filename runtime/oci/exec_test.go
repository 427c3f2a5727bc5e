package oci

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
)

// running is a pod that runs sleep.
func running(t *testing.T, edit ...func(*pod)) *pod {
	t.Helper()
	p := newPod(t, "sleep 1000")
	for _, e := range edit {
		e(p)
	}
	p.create(newOutput(t))
	if err := p.Start(t.Context(), p.id); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestExec(t *testing.T) {
	p := running(t)
	for _, tt := range []struct {
		name string
		edit func(*specs.Process)
		args []string
		want string
		code int
	}{
		{"true", nil, []string{"echo", "hi"}, "hi\n", 0},
		{"status", nil, []string{"sh", "-c", "exit 9"}, "", 9},
		{"signal", nil, []string{"sh", "-c", "kill -KILL $$"}, "", 137},
		{"user", func(p *specs.Process) { p.User = specs.User{UID: 1000, GID: 1000, AdditionalGids: []uint32{2000, 7}} }, []string{"sh", "-c", "id -u; id -g; id -G; echo $HOME"}, "1000\n1000\n1000 7 2000\n/home/sailor\n", 0},
		{"home of a stranger", func(p *specs.Process) { p.User.UID = 4711 }, []string{"sh", "-c", "echo $HOME"}, "/\n", 0},
		{"home given", func(p *specs.Process) { p.Env = append(p.Env, "HOME=/a", "HOME=/b") }, []string{"env"}, "HOME=/b\n", 0},
		{"cwd", func(p *specs.Process) { p.Cwd = "/usr/bin" }, []string{"pwd"}, "/usr/bin\n", 0},
		{"env", func(p *specs.Process) { p.Env = []string{"PATH=/bin", "A=1", "B=2", "A=3"} }, []string{"env"}, "PATH=/bin\nB=2\nA=3\nHOME=/root\n", 0},
		{"limits", func(p *specs.Process) { p.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 77, Hard: 88}} }, []string{"sh", "-c", "ulimit -n; ulimit -Hn"}, "77\n88\n", 0},
		{"descriptors", nil, []string{"ls", "/proc/self/fd"}, "0\n1\n2\n3\n", 0}, // 3 is ls's own
		{"umask", func(p *specs.Process) { p.User.Umask = ptr(uint32(0o27)) }, []string{"sh", "-c", "umask"}, "0027\n", 0},
		{"nnp", func(p *specs.Process) { p.NoNewPrivileges = true }, []string{"grep", "NoNewPrivs", "/proc/self/status"}, "NoNewPrivs:\t1\n", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			proc := p.program(tt.args...)
			proc.Env = []string{"PATH=/bin"}
			if tt.edit != nil {
				tt.edit(proc)
			}
			out, code, err := p.exec(proc)
			if tt.name == "home given" {
				_, out, _ = strings.Cut(out, "PATH=/bin\n")
			}
			if out != tt.want || code != tt.code || err != nil {
				t.Errorf("%q %d %v, want %q %d", out, code, err, tt.want, tt.code)
			}
		})
	}
}

func TestExecJoinsAllNamespaces(t *testing.T) {
	p := running(t)
	s, err := p.State(p.id)
	if err != nil {
		t.Fatal(err)
	}
	out, _, err := p.exec(p.program("sh", "-c", "cd /proc/self/ns; for n in cgroup ipc mnt net pid uts; do readlink $n; done"))
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, n := range []string{"cgroup", "ipc", "mnt", "net", "pid", "uts"} {
		fmt.Fprintln(&want, link(t, fmt.Sprintf("/proc/%d/ns/%s", s.Pid, n)))
	}
	if out != want.String() {
		t.Errorf("namespaces\n%s, want\n%s", out, want.String())
	}
	m, err := p.Cgroup(p.id)
	if err != nil {
		t.Fatal(err)
	}
	// The groups of an exec are the container's: /proc/self/cgroup shows them
	// as the root of its cgroup namespace.
	out, _, err = p.exec(p.program("cat", "/proc/self/cgroup"))
	for line := range strings.Lines(out) {
		if !strings.HasSuffix(line, ":/\n") && strings.Count(line, ":name=") == 0 {
			t.Errorf("outside of a group: %q (of %v)", line, m.Paths())
		}
	}
	if err != nil || out == "" {
		t.Error(err)
	}
}

func TestExecErrors(t *testing.T) {
	p := running(t)
	p.write("tmp/script", "#!/no/such/interpreter\n", 0o755)
	p.write("tmp/data", "text", 0o644)
	p.write("tmp/junk", "\x7fELF?", 0o755)
	for _, tt := range []struct {
		name, program string
		kind          error
		words         []string
	}{
		{"missing in PATH", "no-such-program", fault.NotFound, []string{`exec: "no-such-program": executable file not found in $PATH`}},
		{"missing", "/no/such", fault.NotFound, []string{"/no/such", "no such file or directory"}},
		{"directory", "/tmp", fault.Denied, []string{"/tmp", "permission denied"}},
		{"not executable", "/tmp/data", fault.Denied, []string{"/tmp/data", "permission denied"}},
		{"interpreter", "/tmp/script", fault.NotFound, []string{"/tmp/script", "interpreter", "no such file or directory"}},
		{"format", "/tmp/junk", fault.Denied, []string{"/tmp/junk", "exec format error"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := p.exec(p.program(tt.program))
			wantError(t, err, tt.words...)
			if !errors.Is(err, tt.kind) {
				t.Errorf("%v is not %v", err, tt.kind)
			}
		})
		// The same as the payload itself, by run and by create and start.
		t.Run(tt.name+" as payload", func(t *testing.T) {
			q := newPod(t, "")
			for _, f := range []string{"tmp/script", "tmp/data", "tmp/junk"} {
				data, err := os.ReadFile(p.rootfs(f))
				if err != nil {
					t.Fatal(err)
				}
				info, err := os.Stat(p.rootfs(f))
				if err != nil {
					t.Fatal(err)
				}
				q.write(f, string(data), info.Mode())
			}
			q.spec.Process.Args = []string{tt.program}
			_, _, err := q.run()
			wantError(t, err, tt.words...)
			proc, err := q.Create(t.Context(), CreateRequest{ID: q.id, Bundle: q.load(), Stdio: newOutput(t).stdio()})
			if err == nil {
				q.reaped(proc)
				err = q.Start(t.Context(), q.id)
			}
			wantError(t, err, tt.words...)
		})
	}
}

func TestExecInStopped(t *testing.T) {
	p := newPod(t, "true")
	proc := p.create(newOutput(t))
	if err := p.Start(t.Context(), p.id); err != nil {
		t.Fatal(err)
	}
	proc.Wait()
	_, _, err := p.exec(p.program("true"))
	wantError(t, err, "cannot exec in a stopped container")
}

// --ignore-paused: the process is there and runs on resume.
func TestExecIgnorePaused(t *testing.T) {
	// Where the child is born in a frozen group, the fork waits for the thaw and
	// keeps the processor of Go's that it runs on: the test needs another.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(max(2, runtime.NumCPU())))
	p := running(t)
	if err := p.Freeze(t.Context(), p.id, true); err != nil {
		t.Fatal(err)
	}
	type result struct {
		out string
		err error
	}
	done := make(chan result, 1)
	go func() {
		out, _, err := p.exec(p.program("echo", "late"), func(r *ExecRequest) { r.IgnorePaused = true })
		done <- result{out, err}
	}()
	m, err := p.Cgroup(p.id)
	if err != nil {
		t.Fatal(err)
	}
	poll(t, "the process to arrive", func() bool { pids, err := m.Pids(); return err == nil && len(pids) > 1 })
	if err := p.Freeze(t.Context(), p.id, false); err != nil {
		t.Fatal(err)
	}
	if r := <-done; r.out != "late\n" || r.err != nil {
		t.Errorf("%q %v", r.out, r.err)
	}
}

func TestPIDFiles(t *testing.T) {
	p := newPod(t, "sleep 1000")
	file := filepath.Join(p.bundle, "pid")
	proc, err := p.Create(t.Context(), CreateRequest{ID: p.id, Bundle: p.load(), Stdio: newOutput(t).stdio(), PIDFile: file})
	if err != nil {
		t.Fatal(err)
	}
	p.reaped(proc)
	want := func(pid int) {
		t.Helper()
		if got, err := os.ReadFile(file); string(got) != strconv.Itoa(pid) || err != nil {
			t.Errorf("pid file %q %v, want %d", got, err, pid)
		}
	}
	want(proc.Pid)
	o := newOutput(t)
	child, err := p.Exec(t.Context(), ExecRequest{ID: p.id, Process: p.program("true"), Stdio: o.stdio(), PIDFile: file})
	if err != nil {
		t.Fatal(err)
	}
	p.reaped(child)
	want(child.Pid)
	_, err = p.Exec(t.Context(), ExecRequest{ID: p.id, Process: p.program("true"), Stdio: o.stdio(), PIDFile: "/no/such/dir/pid"})
	wantError(t, err, "/no/such/dir")
}

func TestPreserve(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, []byte("preserved\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	open := func() []*os.File {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return []*os.File{f}
	}
	p := newPod(t, "cat <&3; ls /proc/self/fd")
	if out := p.says(func(r *CreateRequest) { r.Preserve = open() }); out != "preserved\n0\n1\n2\n3\n4\n" {
		t.Errorf("run: %q", out)
	}
	q := running(t)
	out, _, err := q.exec(q.program("sh", "-c", "cat <&3"), func(r *ExecRequest) { r.Preserve = open() })
	if out != "preserved\n" || err != nil {
		t.Errorf("exec: %q %v", out, err)
	}
}

// talk reads a terminal until it has seen want.
func talk(t *testing.T, master *os.File, want string) {
	t.Helper()
	var got strings.Builder
	b := make([]byte, 256)
	for !strings.Contains(got.String(), want) {
		n, err := master.Read(b)
		got.Write(b[:n])
		if err != nil {
			t.Fatalf("terminal: %v after %q, want %q", err, got.String(), want)
		}
	}
}

func TestConsole(t *testing.T) {
	p := newPod(t, "stty size; stty -echo; tty; readlink /proc/self/fd/0; stat -c '%F %u:%g' /dev/pts/0 /dev/console; echo x > /dev/console; read line; echo got $line; exec sleep 1000")
	p.spec.Process.Terminal = true
	p.spec.Process.User.UID = 1000
	p.spec.Process.ConsoleSize = &specs.Box{Height: 33, Width: 101}
	proc := p.create(newOutput(t))
	defer proc.Console.Close()
	if err := p.Start(t.Context(), p.id); err != nil {
		t.Fatal(err)
	}
	talk(t, proc.Console, "33 101\r\n/dev/pts/0\r\n/dev/pts/0\r\ncharacter special file 1000:5\r\ncharacter special file 1000:5\r\nx\r\n")
	if _, err := io.WriteString(proc.Console, "word\n"); err != nil {
		t.Fatal(err)
	}
	talk(t, proc.Console, "got word\r\n")

	// A further process with a terminal of its own, which is its controlling one.
	prog := p.program("sh", "-c", "stty -echo; tty; stty size; exec 3<>/dev/tty; echo via tty >&3; read x; echo $x")
	prog.ConsoleSize = &specs.Box{Height: 5, Width: 6}
	child, err := p.Exec(t.Context(), ExecRequest{ID: p.id, Process: prog, Stdio: newOutput(t).stdio()})
	if err != nil {
		t.Fatal(err)
	}
	defer child.Console.Close()
	p.reaped(child)
	talk(t, child.Console, "/dev/pts/1\r\n5 6\r\nvia tty\r\n")
	io.WriteString(child.Console, "\x03") // ^C
	if code, err := child.Wait(); code != 128+int(unix.SIGINT) || err != nil {
		t.Errorf("status after ^C: %d %v", code, err)
	}
}

// The Console function gets the master before the payload runs; its error is
// the end of the creation.
func TestConsoleFunction(t *testing.T) {
	p := newPod(t, "tty")
	p.spec.Process.Terminal = true
	refused := errors.New("no taker")
	_, _, err := p.run(func(r *CreateRequest) { r.Console = func(*os.File) error { return refused } })
	if !errors.Is(err, refused) {
		t.Errorf("error %v", err)
	}
	q := running(t)
	prog := q.program("true")
	prog.Terminal = true
	_, _, err = q.exec(prog, func(r *ExecRequest) { r.Console = func(*os.File) error { return refused } })
	if !errors.Is(err, refused) {
		t.Errorf("exec: error %v", err)
	}
}

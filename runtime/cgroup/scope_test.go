package cgroup

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/runtime/cgroup/systemd"
)

func TestParseUnit(t *testing.T) {
	for _, tt := range []struct{ path, slice, name, bad string }{
		{"", "", "berth-web.scope", ""},
		{"kubepods-pod1.slice:cri-containerd:abc", "kubepods-pod1.slice", "cri-containerd-abc.scope", ""},
		{"machine.slice:libpod:abc", "machine.slice", "libpod-abc.scope", ""},
		{":docker:abc", "", "docker-abc.scope", ""},
		{"system.slice::abc", "system.slice", "abc.scope", ""},
		{"/a/b", "", "", "slice:prefix:name"},
		{"a.slice:b:", "", "", "no name of a unit"},
		{"a.slice:b:../c", "", "", "no name of a unit"},
		{"a.slice:b:c d", "", "", "no name of a unit"},
		{"a.slice:b:c.slice", "", "", "not a slice"},
		{"a.slice:b:" + strings.Repeat("c", 250), "", "", "no name of a unit"},
	} {
		u, err := parseUnit(tt.path, "web")
		if tt.bad != "" {
			if err == nil || !strings.Contains(err.Error(), tt.bad) {
				t.Errorf("%q: got %v, want %q", tt.path, err, tt.bad)
			}
			continue
		}
		if err != nil || u.slice != tt.slice || u.name != tt.name {
			t.Errorf("%q: got %+v, %v", tt.path, u, err)
		}
	}
}

func TestExpandSlice(t *testing.T) {
	for slice, want := range map[string]string{
		"system.slice": "/system.slice", "a-b-c.slice": "/a.slice/a-b.slice/a-b-c.slice", "-.slice": "/",
		"a": "", ".slice": "", "a--b.slice": "", "-a.slice": "", "a/b.slice": "", "a-.slice": "",
	} {
		got, err := expandSlice(slice)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", slice, got, err, want)
		}
	}
}

func TestProperties(t *testing.T) {
	full := &specs.LinuxResources{
		Memory:  &specs.LinuxMemory{Limit: ptr(int64(1 << 20)), Swap: ptr(int64(3 << 20)), Reservation: ptr(int64(-1))},
		CPU:     &specs.LinuxCPU{Shares: ptr(uint64(512)), Quota: ptr(int64(33333)), Period: ptr(uint64(50000)), Cpus: "0,9", Mems: "0-1"},
		Pids:    &specs.LinuxPids{Limit: ptr(int64(-1))},
		BlockIO: &specs.LinuxBlockIO{Weight: ptr(uint16(500))},
	}
	const infinity = ^uint64(0)
	for _, tt := range []struct {
		name string
		v    Version
		r    *specs.LinuxResources
		want []systemd.Property
	}{
		{"nothing", V2, nil, nil},
		{"v2", V2, full, []systemd.Property{
			{Name: "AllowedCPUs", Value: []byte{1, 2}},
			{Name: "AllowedMemoryNodes", Value: []byte{3}},
			{Name: "CPUWeight", Value: uint64(59)},
			{Name: "MemorySwapMax", Value: uint64(2 << 20)},
			{Name: "MemoryMax", Value: uint64(1 << 20)},
			{Name: "MemoryLow", Value: infinity},
			{Name: "TasksMax", Value: infinity},
			{Name: "IOWeight", Value: uint64(4950)},
			{Name: "CPUQuotaPeriodUSec", Value: uint64(50000)},
			{Name: "CPUQuotaPerSecUSec", Value: uint64(670000)},
		}},
		{"v1", V1, full, []systemd.Property{
			{Name: "AllowedCPUs", Value: []byte{1, 2}},
			{Name: "AllowedMemoryNodes", Value: []byte{3}},
			{Name: "CPUShares", Value: uint64(512)},
			{Name: "MemoryLimit", Value: uint64(1 << 20)},
			{Name: "TasksMax", Value: infinity},
			{Name: "BlockIOWeight", Value: uint64(500)},
			{Name: "CPUQuotaPeriodUSec", Value: uint64(50000)},
			{Name: "CPUQuotaPerSecUSec", Value: uint64(670000)},
		}},
		{"no quota", V2, &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr(int64(-1)), Period: ptr(uint64(100000))}}, []systemd.Property{
			{Name: "CPUQuotaPeriodUSec", Value: uint64(100000)}, {Name: "CPUQuotaPerSecUSec", Value: infinity},
		}},
		{"idle", V2, &specs.LinuxResources{CPU: &specs.LinuxCPU{Idle: ptr(int64(1)), Shares: ptr(uint64(2))}}, []systemd.Property{{Name: "CPUWeight", Value: uint64(0)}}},
		{"idle alone", V2, &specs.LinuxResources{CPU: &specs.LinuxCPU{Idle: ptr(int64(1))}}, []systemd.Property{{Name: "CPUWeight", Value: uint64(0)}}},
		{"unified", V2, &specs.LinuxResources{Unified: map[string]string{"memory.high": "max", "memory.min": "4096", "memory.oom.group": "1"}}, []systemd.Property{
			{Name: "MemoryHigh", Value: infinity}, {Name: "MemoryMin", Value: uint64(4096)},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files, err := Files(tt.r, tt.v)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, properties(files)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestDeviceProperties(t *testing.T) {
	one := specs.LinuxDeviceCgroup{Allow: true, Type: "b", Major: ptr(int64(8)), Minor: ptr(int64(1)), Access: "r"}
	takeBack := specs.LinuxDeviceCgroup{Type: "b", Major: ptr(int64(8)), Access: "r"}
	all := specs.LinuxDeviceCgroup{Allow: true, Access: "rwm"}
	usual := " char-* m block-* m /dev/char/1:3 rwm /dev/char/1:5 rwm /dev/char/1:7 rwm /dev/char/1:8 rwm /dev/char/1:9 rwm /dev/char/5:0 rwm /dev/char/5:2 rwm char-136 rwm"
	for _, tt := range []struct {
		name   string
		list   []specs.LinuxDeviceCgroup
		v1, v2 string
	}{
		{"the usual", nil, "strict" + usual, "strict" + usual},
		{"one more", []specs.LinuxDeviceCgroup{one}, "strict /dev/block/8:1 r" + usual, "strict /dev/block/8:1 r" + usual},
		{"privileged", []specs.LinuxDeviceCgroup{all}, "auto", "auto"},
		{"all but some", []specs.LinuxDeviceCgroup{all, takeBack}, "", "auto"},
		{"taken back", []specs.LinuxDeviceCgroup{one, takeBack}, "", "strict /dev/block/8:1 r" + usual},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rules, err := DeviceRules(tt.list)
			if err != nil {
				t.Fatal(err)
			}
			for v, want := range map[Version]string{V1: tt.v1, V2: tt.v2} {
				props, err := deviceProperties(rules, v)
				if (err == nil) != (want != "") {
					t.Errorf("%s: %v", v, err)
				}
				got := ""
				for _, p := range props {
					switch x := p.Value.(type) {
					case string:
						got += x
					case []systemd.Pair:
						for _, a := range x {
							got += " " + a[0] + " " + a[1]
						}
					}
				}
				if got != want {
					t.Errorf("%s: got %q, want %q", v, got, want)
				}
			}
		})
	}
}

// scopeIn is a scope of this process's own; nothing is made yet.
func scopeIn(t *testing.T, slice string) *group {
	t.Helper()
	l, err := Detect()
	if err != nil {
		t.Fatal(err)
	}
	m, err := l.Scope(slice+":t:"+fmt.Sprint(os.Getpid()), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return m.(*group)
}

// newScope is newGroup for a scope of the real systemd.
func newScope(t *testing.T) *group {
	t.Helper()
	if !systemd.Running() {
		t.Skip("this machine was not started by systemd; the VM lane has one that was")
	}
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	g := scopeIn(t, "berthtest-a.slice")
	t.Cleanup(func() {
		_ = g.Kill()
		if err := g.Remove(fresh()); err != nil {
			t.Error(err)
		}
		if left := g.existing(); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		if got := systemctl(t, "show", "--value", "-p", "LoadState", g.unit.name); got != "not-found" {
			t.Errorf("the unit is still %s", got)
		}
		systemctl(t, "stop", "berthtest.slice") // slices are systemd's, and stay
	})
	return g
}

func systemctl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("systemctl", args...).Output()
	if err != nil {
		t.Fatal(args, err)
	}
	return strings.TrimSpace(string(out))
}

// TestScopeForReal has a container's whole life in a scope: its limits and its
// devices are what they should be after systemd has been reloaded, too.
func TestScopeForReal(t *testing.T) {
	g := newScope(t)
	r := limits()
	r.Devices = []specs.LinuxDeviceCgroup{{Access: "rwm"}, {Allow: true, Type: "c", Major: ptr(int64(1)), Minor: ptr(int64(11)), Access: "r"}}
	if err := g.Begin(); err != nil {
		t.Fatal(err)
	}
	create(t, g, r)
	check := checker(t, g)
	script := "while read x; do (echo >/dev/kmsg) 2>/dev/null && echo kmsg-written; (: </dev/kmsg) && echo kmsg; (: <>/dev/zero) && echo zero; (: </dev/loop-control) 2>/dev/null && echo loop; echo end; done"
	p := enter(t, g, script)
	g.Settle()
	same := func(when string, pids string, memory string) {
		t.Helper()
		check("pids", "pids.max", pids, "pids.max", pids)
		check("memory", "memory.limit_in_bytes", memory, "memory.max", memory)
		if got := systemctl(t, "show", "--value", "-p", "TasksMax", g.unit.name); got != pids {
			t.Errorf("%s: TasksMax is %s, want %s", when, got, pids)
		}
		var seen []string
		for p.start(t); ; {
			line := p.line(t)
			if line == "end" {
				break
			}
			seen = append(seen, line)
		}
		if d := cmp.Diff([]string{"kmsg", "zero"}, seen); d != "" {
			t.Errorf("%s: devices (-want +got):\n%s", when, d)
		}
	}
	same("at first", "100", "67108864")
	if g.pure() { // two programs, ours and systemd's
		rules, err := g.Devices()
		if err != nil || !slices.ContainsFunc(rules, func(r Rule) bool { return r.String() == "c 1:11 rm" }) {
			t.Errorf("devices %v, %v", rules, err)
		}
	}
	systemctl(t, "daemon-reload")
	same("after daemon-reload", "100", "67108864")

	// Later commands know the group by its paths alone.
	m, err := Reopen(g.Paths())
	if err != nil {
		t.Fatal(err)
	}
	err = m.Apply(&specs.LinuxResources{
		Pids:   &specs.LinuxPids{Limit: ptr(int64(50))},
		Memory: &specs.LinuxMemory{Limit: ptr(int64(32 << 20)), Swap: ptr(int64(32 << 20))},
		CPU:    &specs.LinuxCPU{Quota: ptr(int64(33333))},
	})
	if err != nil {
		t.Fatal(err)
	}
	same("after the update", "50", "33554432")
	check("cpu", "cpu.cfs_quota_us", "33333", "cpu.max", "33333 100000")
	systemctl(t, "daemon-reload")
	same("after another daemon-reload", "50", "33554432")
	if got := systemctl(t, "show", "--value", "-p", "CPUQuotaPerSecUSec", g.unit.name); got != "340ms" {
		t.Errorf("CPUQuotaPerSecUSec is %s", got)
	}

	if pids, err := m.Pids(); err != nil || len(pids) != 1 {
		t.Errorf("pids %v, %v; want the guest alone", pids, err)
	}
	if err := m.Kill(); err != nil {
		t.Fatal(err)
	}
	p.Wait()
	if err := m.Remove(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestScopeRefusesTaken: the scope of somebody else is left alone.
func TestScopeRefusesTaken(t *testing.T) {
	g := newScope(t)
	create(t, g, nil)
	l, err := Detect()
	if err != nil {
		t.Fatal(err)
	}
	m, err := l.Scope("berthtest-a.slice:t:"+fmt.Sprint(os.Getpid()), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Create(nil); err == nil {
		t.Error("a second container in the same scope: want an error")
	}
	if got := systemctl(t, "show", "--value", "-p", "ActiveState", g.unit.name); got != "active" {
		t.Errorf("the first one's scope is %s now", got)
	}
}

// TestScopeFailsAtEveryStep lets every single step fail in turn; nothing is
// left of the scope then.
func TestScopeFailsAtEveryStep(t *testing.T) {
	newScope(t) // of the same name: its end is that of the last try
	l, err := Detect()
	if err != nil {
		t.Fatal(err)
	}
	r := &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(10))}}
	for n := 0; ; n++ {
		m, err := l.Scope("berthtest-a.slice:t:"+fmt.Sprint(os.Getpid()), "", nil)
		if err != nil {
			t.Fatal(err)
		}
		try := m.(*group)
		steps, failed := 0, ""
		try.seam = func(call, object string) error {
			if steps++; steps-1 == n {
				failed = call + " " + object
				return unix.ENOMEM
			}
			return nil
		}
		err = try.Begin()
		if err == nil {
			err = try.Create(r)
		}
		if failed == "" {
			if err != nil {
				t.Fatal(err)
			}
			try.Settle()
			break
		}
		if err == nil { // it was about a controller that no limit needs
			if err := try.Remove(fresh()); err == nil {
				t.Error("a scope with its holder in it was removed")
			}
			try.Settle()
			if err := try.Remove(fresh()); err != nil {
				t.Fatal(err)
			}
		} else if !errors.Is(err, unix.ENOMEM) {
			t.Errorf("step %d (%s) failed, create says %v", n, failed, err)
		}
		until(t, "the end of the scope after step "+failed, func() bool { return len(try.existing()) == 0 })
	}
}

// TestScopeOfUser starts a manager for nobody, and itself again as that user.
func TestScopeOfUser(t *testing.T) {
	if !systemd.Running() || os.Getuid() != 0 {
		t.Skip("needs root and a machine that was started by systemd; the VM lane has one")
	}
	const nobody = 65534
	runtimeDir, dropIn := fmt.Sprintf("/run/user/%d", nobody), fmt.Sprintf("/run/systemd/system/user@%d.service.d", nobody)
	if _, err := os.Lstat(runtimeDir); err == nil {
		t.Skip("somebody uses the user's runtime directory:", runtimeDir)
	}
	t.Cleanup(func() {
		systemctl(t, "kill", "--signal=KILL", fmt.Sprintf("user@%d.service", nobody)) // it would wait for logins
		systemctl(t, "reset-failed")
		os.RemoveAll(dropIn)
		os.RemoveAll(runtimeDir)
		systemctl(t, "daemon-reload")
	})
	steps := []error{
		os.MkdirAll(runtimeDir, 0o700), os.Chown(runtimeDir, nobody, nobody), os.MkdirAll(dropIn, 0o755),
		// Without a login: no PAM.
		os.WriteFile(dropIn+"/berth.conf", []byte("[Service]\nPAMName=\nEnvironment=XDG_RUNTIME_DIR=/run/user/%i\n"), 0o644),
	}
	if err := errors.Join(steps...); err != nil {
		t.Fatal(err)
	}
	systemctl(t, "daemon-reload")
	systemctl(t, "start", fmt.Sprintf("user@%d.service", nobody))

	// The test program may be where the user cannot come to.
	dir, err := os.MkdirTemp("", "berth-user")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(dir+"/test", program, 0o755)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(dir+"/test", "-test.run", "^TestScopeByUser$", "-test.v")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+runtimeDir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestScopeByUser") {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
}

func TestScopeByUser(t *testing.T) {
	if !systemd.Running() || os.Getuid() == 0 || os.Getenv("XDG_RUNTIME_DIR") == "" {
		t.Skip("needs a user with a service manager of his own; TestScopeOfUser makes one")
	}
	g := scopeIn(t, "")
	t.Cleanup(func() { _ = g.Kill(); _ = g.Remove(fresh()) })
	create(t, g, &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(10))}, Memory: &specs.LinuxMemory{Limit: ptr(int64(64 << 20))}})
	if got := mustRead(t, g.trees[0].path, "pids.max"); got != "10" {
		t.Errorf("pids.max is %s", got)
	}
	again, err := Reopen(g.Paths())
	if err != nil {
		t.Fatal(err)
	}
	if u := again.(*group).findUnit(); u == nil || !u.user || u.name != g.unit.name {
		t.Errorf("found again as %+v", u)
	}
	if err := again.Apply(&specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(20))}}); err != nil {
		t.Error(err)
	}
	if got := mustRead(t, g.trees[0].path, "pids.max"); got != "20" {
		t.Errorf("pids.max is %s after the update", got)
	}
	g.Settle()
	if err := g.Remove(t.Context()); err != nil {
		t.Error(err)
	}
	until(t, "the end of the scope", func() bool { return len(g.existing()) == 0 })
}

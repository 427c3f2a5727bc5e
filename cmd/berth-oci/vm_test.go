//go:build vm

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// profile confines like an engine's default one, and hides a file. It is the
// machine's while it is loaded, hence the build tag.
const profile = `#include <tunables/global>
profile NAME flags=(attach_disconnected,mediate_deleted) {
  file,
  capability,
  network,
  signal,
  deny /secret r,
  deny /proc/sys/** w,
}
`

func loadProfile(t *testing.T, name string) (unload func()) {
	t.Helper()
	if on, err := os.ReadFile("/sys/module/apparmor/parameters/enabled"); err != nil || strings.TrimSpace(string(on)) != "Y" {
		t.Skip("AppArmor is not enabled in this kernel")
	}
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(strings.Replace(profile, "NAME", name, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	parser := func(flags ...string) {
		t.Helper()
		if out, err := exec.Command("apparmor_parser", append(flags, "--skip-cache", file)...).CombinedOutput(); err != nil {
			t.Fatalf("apparmor_parser %q: %v\n%s", flags, err, out)
		}
	}
	parser("--replace")
	unload = sync.OnceFunc(func() { parser("--remove") })
	t.Cleanup(unload)
	return unload
}

func TestAppArmorConfines(t *testing.T) {
	loadProfile(t, "berth-test")
	const script = "cat /proc/self/attr/current; cat /secret; echo status $?"
	s := newShell(t, "")
	if err := os.WriteFile(filepath.Join(s.bundle, "rootfs/secret"), []byte("seen\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	with := func(name, script string) {
		t.Helper()
		s.edit(func(p *specs.Spec) {
			p.Process.Args = []string{"sh", "-c", script}
			p.Process.ApparmorProfile = name
		})
	}
	with("", script)
	s.want(0, "unconfined\nseen\nstatus 0\n", "run", "--bundle", s.bundle, s.id)
	with("berth-test", script)
	if got := s.want(0, "Permission denied", "run", "--bundle", s.bundle, s.id); got != "berth-test (enforce)\nstatus 1\n" {
		t.Errorf("under the profile: %q", got)
	}
	with("no-such-profile", script)
	s.want(1, "AppArmor profile no-such-profile", "run", "--bundle", s.bundle, s.id)

	// Processes that come later have the container's profile or their own.
	with("", "exec sleep 1000")
	s.want(0, "", "run", "--detach", "--bundle", s.bundle, s.id)
	s.want(0, "unconfined\nseen\n", "exec", s.id, "sh", "-c", script)
	s.want(0, "berth-test (enforce)\nstatus 1\n", "exec", "--apparmor", "berth-test", s.id, "sh", "-c", script)
	s.want(0, "", "delete", "--force", s.id)
	with("berth-test", "exec sleep 1000")
	s.want(0, "", "run", "--detach", "--bundle", s.bundle, s.id)
	s.want(0, "berth-test (enforce)\nstatus 1\n", "exec", s.id, "sh", "-c", script)
}

// needsSystemd: a lane of test/vm has it.
func needsSystemd(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		t.Skip("systemd is not process 1 here")
	}
}

// TestSystemdReload: when systemd reads its units anew it writes what it knows
// of them to the kernel, device filter and all. What it does not know is lost,
// so it has to know what the container's limits are.
func TestSystemdReload(t *testing.T) {
	needsSystemd(t)
	s := newShell(t, "")
	s.edit(func(p *specs.Spec) {
		p.Process.Args = []string{"sleep", "1000"}
		p.Linux.CgroupsPath = "system.slice:berth:" + s.id
		kmsg := [2]int64{1, 11}
		p.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/log", Type: "c", Major: 1, Minor: 11}}
		p.Linux.Resources.Devices = append(p.Linux.Resources.Devices,
			specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: &kmsg[0], Minor: &kmsg[1], Access: "r"})
		memory, pids, quota, period := int64(64<<20), int64(30), int64(50000), uint64(100000)
		p.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &memory}
		p.Linux.Resources.Pids = &specs.LinuxPids{Limit: &pids}
		p.Linux.Resources.CPU = &specs.LinuxCPU{Quota: &quota, Period: &period}
	})
	s.want(0, "", "--systemd-cgroup", "run", "--detach", "--bundle", s.bundle, s.id)
	group := "/sys/fs/cgroup/system.slice/berth-" + s.id + ".scope/"
	same := func(when, memory string) {
		t.Helper()
		for name, want := range map[string]string{"memory.max": memory, "pids.max": "30", "cpu.max": "50000 100000"} {
			if got, err := os.ReadFile(group + name); err != nil || strings.TrimSpace(string(got)) != want {
				t.Errorf("%s: %s is %q, %v; want %s", when, name, got, err, want)
			}
		}
		look := "for d in /dev/null /dev/log; do (: <$d) && echo $d read; done; (: >/dev/log) || true"
		if got := s.want(0, "", "exec", "--cap", "CAP_SYSLOG", s.id, "sh", "-c", look); got != "/dev/null read\n/dev/log read\n" {
			t.Errorf("%s: devices %q", when, got)
		}
		s.want(0, "denied", "exec", "--cap", "CAP_SYSLOG", s.id, "sh", "-c", "(: >/dev/log) 2>/dev/null || echo denied")
	}
	reload := func() {
		t.Helper()
		if out, err := exec.Command("systemctl", "daemon-reload").CombinedOutput(); err != nil {
			t.Fatalf("systemctl daemon-reload: %v\n%s", err, out)
		}
	}
	same("at first", "67108864")
	reload()
	same("after daemon-reload", "67108864")
	s.want(0, "", "update", "--memory", "32M", s.id)
	same("after an update", "33554432")
	reload()
	same("after another daemon-reload", "33554432")
}

// TestSystemdUser has containers in scopes of a user's own manager, made by
// that user as root of a user namespace, as engines without root are: from a
// unit of that manager, and from outside of all of them.
func TestSystemdUser(t *testing.T) {
	needsSystemd(t)
	const uid = 4242
	command := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
	}
	s := newShell(t, "")
	user := fmt.Sprint(uid)
	command("useradd", "--no-create-home", "--uid", user, "berth-test-user")
	manager := "user@" + user + ".service"
	t.Cleanup(func() { command("systemctl", "stop", manager); command("userdel", "berth-test-user") })
	command("systemctl", "start", manager)

	home, err := os.MkdirTemp("/scratch", s.id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	s.edit(func(p *specs.Spec) {
		p.Process.Args = []string{"sleep", "1000"}
		limit := int64(33)
		p.Linux.Resources.Pids = &specs.LinuxPids{Limit: &limit}
	})
	command("cp", "-r", s.bundle, s.exe, home)
	command("chmod", "0755", home)
	command("chown", "-R", user, home)

	// All of it in one user namespace: from another one nobody may look at
	// the container's process.
	script := fmt.Sprintf(`set -ex
		oci() { %s/berth-oci --root %[1]s/state --systemd-cgroup "$@" </dev/null; }
		oci create --bundle %[1]s/%s $1
		cat $2/pids.max
		oci start $1
		oci exec $1 true
		oci update --pids-limit 44 $1
		cat $2/pids.max
		oci delete --force $1
		[ ! -e $2 ]`, home, filepath.Base(s.bundle))
	tree := "/sys/fs/cgroup/user.slice/user-" + user + ".slice/" + manager
	for _, from := range []string{"unit", "outside"} {
		cmd := exec.Command("sh", "-c", script, "sh", s.id, tree+"/user.slice/berth-"+s.id+".scope")
		cmd.Env = []string{"XDG_RUNTIME_DIR=/run/user/" + user, "PATH=" + os.Getenv("PATH")}
		cmd.SysProcAttr = rootOf(uid)
		if from == "unit" {
			dir, err := os.Open(tree + "/init.scope")
			if err != nil {
				t.Fatal(err)
			}
			defer dir.Close()
			cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
		}
		log, err := os.Create(filepath.Join(t.TempDir(), "log")) // no pipe: the container has it, too
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		cmd.Stdout, cmd.Stderr = log, log
		err = cmd.Run()
		text, rerr := os.ReadFile(log.Name())
		if out := string(text); err != nil || rerr != nil || !strings.Contains(out, "\n33\n") || !strings.Contains(out, "\n44\n") {
			t.Errorf("%s: %v\n%s", from, err, out)
			exec.Command("systemctl", "kill", "--signal=KILL", manager).Run()
			return
		}
	}
}

// rootOf is a user namespace whose root is a user of the machine.
func rootOf(uid int) *syscall.SysProcAttr {
	maps := []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}, {ContainerID: 1, HostID: 100000, Size: 1 << 16}}
	return &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER, UidMappings: maps, GidMappings: maps, GidMappingsEnableSetgroups: true,
		Credential: &syscall.Credential{Uid: 0, Gid: 0},
	}
}

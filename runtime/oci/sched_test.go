package oci

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// schedProbe prints policy, priority and nice value, io priority, machine name.
const schedProbe = `set -- $(sed 's/.*) //' /proc/self/stat); echo policy ${39} priority ${38} nice ${17}; ionice -p $$; uname -m`

func TestSchedAndPersonality(t *testing.T) {
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0) // 20 - nice
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		edit func(*specs.Spec)
		want string
	}{
		{"none", func(*specs.Spec) {}, "policy 0 priority 0 nice N none: prio 0 NATIVE"},
		{"batch", func(s *specs.Spec) { s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedBatch, Nice: 3} }, "policy 3 priority 0 nice 3 none: prio 0 NATIVE"},
		{"idle", func(s *specs.Spec) { s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedIdle} }, "policy 5 priority 0 nice N none: prio 0 NATIVE"},
		{"io", func(s *specs.Spec) {
			s.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 6}
		}, "policy 0 priority 0 nice N best-effort: prio 6 NATIVE"},
		{"io idle", func(s *specs.Spec) { s.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_IDLE} }, "policy 0 priority 0 nice N idle NATIVE"},
		{"personality", func(s *specs.Spec) { s.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32} }, "policy 0 priority 0 nice N none: prio 0 COMPAT"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPod(t, schedProbe+"; sleep 1000")
			tt.edit(p.spec)
			p.create(newOutput(t))
			if err := p.Start(t.Context(), p.id); err != nil {
				t.Fatal(err)
			}
			native, compat := "x86_64", "i686"
			if runtime.GOARCH == "arm64" {
				native, compat = "aarch64", "armv8l"
			}
			tt.want = strings.NewReplacer("nice N", "nice "+strconv.Itoa(20-raw), "NATIVE", native, "COMPAT", compat).Replace(tt.want)
			out, code, err := p.exec(p.program("sh", "-c", schedProbe))
			if got := strings.Join(strings.Fields(out), " "); got != tt.want || code != 0 || err != nil {
				t.Errorf("exec: %q %d %v, want %q", got, code, err, tt.want)
			}
			if err := p.Delete(t.Context(), p.id, true); err != nil {
				t.Fatal(err)
			}
			p.spec.Process.Args[2] = schedProbe
			if got := strings.Join(strings.Fields(p.says()), " "); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestRealtime(t *testing.T) {
	p := newPod(t, schedProbe)
	p.spec.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedRR, Priority: 7, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagResetOnFork}}
	out, _, err := p.run()
	if err != nil {
		// A v1 cpu group has no real time of its own until it is given some.
		wantError(t, err, "scheduler SCHED_RR priority 7", "operation not permitted")
		t.Skip("needs a cpu group with real time:", err)
	}
	if !strings.HasPrefix(out, "policy 0 ") { // sed is a child, and the flag says reset
		t.Errorf("%q", out)
	}
}

func TestMemoryPolicy(t *testing.T) {
	if _, err := os.Stat("/proc/self/numa_maps"); err != nil {
		t.Skip("needs a kernel with NUMA:", err)
	}
	p := newPod(t, "cut -d' ' -f2 /proc/self/numa_maps | sort -u")
	p.spec.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0", Flags: []specs.MemoryPolicyFlagType{specs.MpolFStaticNodes}}
	if got := p.says(); !strings.Contains(got, "bind=static:0") {
		t.Errorf("%q", got)
	}
}

// The caller's processors are not the container's; those of exec can be told.
func TestAffinity(t *testing.T) {
	const probe = "grep Cpus_allowed_list /proc/self/status | cut -f2"
	var all, first unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil || all.Count() < 2 || !all.IsSet(0) || !all.IsSet(1) {
		t.Skip("needs processors 0 and 1")
	}
	first.Set(0)
	p := newPod(t, probe+"; sleep 1000")
	p.spec.Process.ExecCPUAffinity = &specs.CPUAffinity{Initial: "0", Final: "1"}
	o := newOutput(t)
	var proc *Process
	onProcessors(t, &first, func() { proc = p.create(o) })
	if err := p.Start(t.Context(), p.id); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		aff  *specs.CPUAffinity
		want string
	}{
		{nil, "1\n"},
		{&specs.CPUAffinity{}, "0-1\n"},
		{&specs.CPUAffinity{Initial: "1"}, "1\n"},
		{&specs.CPUAffinity{Final: "0"}, "0\n"},
	} {
		prog := p.program("sh", "-c", probe)
		prog.ExecCPUAffinity = tt.aff
		var out string
		var err error
		onProcessors(t, &first, func() { out, _, err = p.exec(prog) })
		if all.Count() > 2 && tt.want == "0-1\n" {
			continue
		}
		if out != tt.want || err != nil {
			t.Errorf("exec with %+v: %q %v, want %q", tt.aff, out, err, tt.want)
		}
	}
	asleep(t, proc)
	if err := p.Delete(t.Context(), p.id, true); err != nil {
		t.Fatal(err)
	}
	if got := o.text(); all.Count() == 2 && got != "0-1\n" {
		t.Errorf("%q", got)
	}
}

// onProcessors runs do on a thread that is tied to some processors; children
// inherit that.
func onProcessors(t *testing.T, cpus *unix.CPUSet, do func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.SchedSetaffinity(0, cpus); err != nil {
		t.Fatal(err)
	}
	defer unix.SchedSetaffinity(0, &before)
	do()
}

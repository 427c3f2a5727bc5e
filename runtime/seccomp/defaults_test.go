package seccomp

import (
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestDefaultDecides(t *testing.T) {
	const allow, eperm, enosys, kill = "ALLOW", "ERRNO(EPERM)", "ERRNO(ENOSYS)", "KILL_PROCESS"
	type args = [6]uint64
	admin := []string{"CAP_SYS_ADMIN"}
	for _, tt := range []struct {
		name string // of the call
		args args
		caps []string
		want string
	}{
		{"read", args{}, nil, allow},
		{"execve", args{}, nil, allow},
		{"statmount", args{}, nil, allow},
		{"ptrace", args{}, nil, allow},

		{"mount", args{}, nil, eperm},
		{"mount", args{}, admin, allow},
		{"open_tree_attr", args{}, nil, enosys},
		{"open_tree_attr", args{}, admin, allow},
		{"setns", args{}, nil, eperm},
		{"unshare", args{}, nil, eperm},
		{"bpf", args{}, nil, eperm},
		{"bpf", args{}, []string{"CAP_BPF"}, allow},
		{"perf_event_open", args{}, nil, eperm},
		{"perf_event_open", args{}, []string{"CAP_PERFMON"}, allow},
		{"finit_module", args{}, nil, eperm},
		{"finit_module", args{}, []string{"CAP_SYS_MODULE"}, allow},
		{"chroot", args{}, nil, eperm},
		{"chroot", args{}, []string{"CAP_SYS_CHROOT"}, allow},
		{"reboot", args{}, []string{"CAP_SYS_BOOT"}, allow},
		{"syslog", args{}, []string{"CAP_SYSLOG"}, allow},
		{"acct", args{}, []string{"CAP_SYS_PACCT"}, allow},
		{"vhangup", args{}, []string{"CAP_SYS_TTY_CONFIG"}, allow},
		{"settimeofday", args{}, nil, eperm},
		{"settimeofday", args{}, []string{"CAP_SYS_TIME"}, allow},
		{"mbind", args{}, nil, eperm},
		{"mbind", args{}, []string{"CAP_SYS_NICE"}, allow},
		{"pidfd_getfd", args{}, nil, eperm},
		{"pidfd_getfd", args{}, []string{"CAP_SYS_PTRACE"}, allow},
		{"open_by_handle_at", args{}, nil, eperm},
		{"open_by_handle_at", args{}, []string{"CAP_DAC_READ_SEARCH"}, allow},
		{"kexec_load", args{}, admin, eperm},
		{"keyctl", args{}, admin, eperm},
		{"add_key", args{}, admin, eperm},
		{"request_key", args{}, admin, eperm},
		{"io_uring_setup", args{}, admin, eperm},
		{"io_uring_enter", args{}, admin, eperm},
		{"userfaultfd", args{}, admin, eperm},
		{"swapon", args{}, admin, eperm},
		{"pivot_root", args{}, admin, eperm},
		{"file_setattr", args{}, nil, enosys},

		{"clone", args{0x01200011}, nil, allow}, // fork
		{"clone", args{0x003d0f00}, nil, allow}, // pthread_create
		{"clone", args{0x10000000}, nil, eperm}, // NEWUSER
		{"clone", args{0x10000000}, admin, allow},
		{"clone", args{0x20000000 | 0x11}, nil, eperm},
		{"clone", args{0x02000000}, nil, eperm},
		{"clone3", args{}, nil, enosys},
		{"clone3", args{}, admin, allow},

		{"socket", args{1}, nil, allow},
		{"socket", args{10}, nil, allow},
		{"socket", args{16}, nil, allow},
		{"socket", args{45}, nil, allow},
		{"socket", args{0}, nil, eperm},
		{"socket", args{38}, nil, eperm},
		{"socket", args{40}, nil, eperm},
		{"socket", args{40}, admin, eperm},
		{"socket", args{46}, nil, eperm},
		{"socket", args{1<<32 | 40}, nil, eperm}, // the kernel cuts it to 40
		{"socket", args{1<<32 | 1}, nil, allow},

		{"personality", args{0}, nil, allow},
		{"personality", args{8}, nil, allow},
		{"personality", args{0xffffffff}, nil, allow},
		{"personality", args{0x0040000}, nil, eperm}, // ADDR_NO_RANDOMIZE

		{"ioctl", args{0, 0x5413}, nil, allow},             // TIOCGWINSZ
		{"ioctl", args{0, 0xffffffff80045430}, nil, allow}, // TIOCGPTN, sign-extended
		{"ioctl", args{0, 0x5412}, nil, eperm},             // TIOCSTI
		{"ioctl", args{0, 1<<40 | 0x5412}, nil, eperm},
		{"ioctl", args{0, 0x5412}, admin, allow},
	} {
		for _, goarch := range []string{"amd64", "arm64"} {
			f, err := Compile(Default(Host{Arch: goarch, Caps: tt.caps, Kernel: [2]int{6, 18}}), goarch)
			if err != nil {
				t.Fatal(err)
			}
			m, _ := machineOf(goarch)
			b := m.abis[0]
			nr := refNumber(tt.name, b)
			if nr < 0 {
				t.Errorf("%s has no number on %s", tt.name, goarch)
			}
			got, err := Simulate(f.Prog, Data{Nr: nr, Arch: auditArch[b], Args: tt.args})
			if err != nil || Verdict(got) != tt.want {
				t.Errorf("%s: %s%#x with %v is %s, %v, want %s", goarch, tt.name, tt.args[:2], tt.caps, Verdict(got), err, tt.want)
			}
		}
	}
	f, err := Compile(Default(Host{Arch: "amd64"}), "amd64")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		call Data
		want string
	}{
		{"x32", Data{Nr: x32Bit | 1, Arch: auditArch[amd64]}, kill},
		{"i386", Data{Nr: 4, Arch: auditArch[i386]}, allow},
		{"arm64 on amd64", Data{Nr: 64, Arch: auditArch[arm64]}, kill},
		{"ptrace on an unknown kernel", Data{Nr: 101, Arch: auditArch[amd64]}, eperm},
		{"of the future", Data{Nr: 999, Arch: auditArch[amd64]}, enosys},
		{"clone3 of i386", Data{Nr: 435, Arch: auditArch[i386]}, enosys},
	} {
		if got, err := Simulate(f.Prog, tt.call); err != nil || Verdict(got) != tt.want {
			t.Errorf("%s is %s, %v, want %s", tt.name, Verdict(got), err, tt.want)
		}
	}
}

func TestDefaultCompilesEverywhere(t *testing.T) {
	for _, m := range machines {
		p := Default(Host{Arch: m.goarch, Kernel: [2]int{6, 18}})
		if _, err := Compile(p, m.goarch); err != nil {
			t.Errorf("%s: %v", m.goarch, err)
		}
		if p.Architectures[0] != abiNames[m.abis[0]] || slices.Contains(p.Architectures, specs.ArchX32) {
			t.Errorf("%s: architectures %v", m.goarch, p.Architectures)
		}
	}
}

// TestDefaultNamesExist finds misspelt names: each has a number somewhere.
func TestDefaultNamesExist(t *testing.T) {
	all := slices.Clone(ordinary[:])
	for _, o := range openings {
		all = append(all, o.names...)
	}
	for _, n := range append(all, tracing...) {
		if find(n, 0) < 0 {
			t.Errorf("no machine has %s", n)
		}
	}
	slices.Sort(all[:len(ordinary)])
	for i := range ordinary[1:] {
		if all[i] == all[i+1] {
			t.Errorf("%s is listed twice", all[i])
		}
	}
}

func TestDefaultIsTheCallers(t *testing.T) {
	h := Host{Arch: "amd64", Kernel: [2]int{6, 18}}
	p := Default(h)
	for i := range p.Syscalls {
		for j := range p.Syscalls[i].Names {
			p.Syscalls[i].Names[j] = "x"
		}
	}
	if q := Default(h); q.Syscalls[0].Names[0] == "x" || slices.Contains(ordinary[:], "x") {
		t.Error("changing one result changed the next")
	}
}

// TestSocketRules compares the blocks with the list they stand for.
func TestSocketRules(t *testing.T) {
	rules := socketRules()
	for f := range uint64(256) {
		got := slices.ContainsFunc(rules, func(r specs.LinuxSyscall) bool {
			return f&r.Args[0].Value == r.Args[0].ValueTwo
		})
		if want := f < 256 && slices.Contains(families[:], uint8(f)); got != want {
			t.Errorf("family %d allowed %v, want %v", f, got, want)
		}
	}
	if len(rules) >= len(families) {
		t.Errorf("%d rules for %d families", len(rules), len(families))
	}
}

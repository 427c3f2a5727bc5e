package oci

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/internal/kernel"
)

// everyCap are the names of all capabilities there are, and one there is not.
var everyCap = strings.Fields(`CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID
	CAP_SETUID CAP_SETPCAP CAP_LINUX_IMMUTABLE CAP_NET_BIND_SERVICE CAP_NET_BROADCAST CAP_NET_ADMIN CAP_NET_RAW
	CAP_IPC_LOCK CAP_IPC_OWNER CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_CHROOT CAP_SYS_PTRACE CAP_SYS_PACCT CAP_SYS_ADMIN
	CAP_SYS_BOOT CAP_SYS_NICE CAP_SYS_RESOURCE CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_MKNOD CAP_LEASE CAP_AUDIT_WRITE
	CAP_AUDIT_CONTROL CAP_SETFCAP CAP_MAC_OVERRIDE CAP_MAC_ADMIN CAP_SYSLOG CAP_WAKE_ALARM CAP_BLOCK_SUSPEND
	CAP_AUDIT_READ CAP_PERFMON CAP_BPF CAP_CHECKPOINT_RESTORE CAP_FLY`)

const capProbe = `grep Cap /proc/self/status | cut -f2 | sed 's/^0*//' | paste -sd' '`

// Whatever is asked for, the container gets what there is, and a warning.
func TestEveryCapability(t *testing.T) {
	all := kernel.Caps()
	for _, userns := range []bool{false, true} {
		p := newPod(t, capProbe)
		p.spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: everyCap, Permitted: everyCap, Effective: everyCap, Inheritable: everyCap, Ambient: everyCap}
		if userns {
			mapped(p)
			all = 1<<(kernel.LastCap()+1) - 1
		}
		want := strings.TrimSpace(strings.Repeat(hex(all)+" ", 5)) + "\n"
		if got := p.says(); got != want {
			t.Errorf("user namespace %t: %q, want %q", userns, got, want)
		}
		if !strings.Contains(strings.Join(p.warnings, "\n"), "CAP_FLY") {
			t.Errorf("warnings %q", p.warnings)
		}
	}
}

// Ambient capabilities reach a program of a user; one that cannot be raised is
// a warning.
func TestAmbient(t *testing.T) {
	p := newPod(t, capProbe)
	some := []string{"CAP_KILL", "CAP_CHOWN"}
	p.spec.Process.User = specs.User{UID: 1000, GID: 1000}
	p.spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: some, Permitted: some, Effective: some, Inheritable: some[:1], Ambient: some}
	if got := p.says(); got != "20 20 20 21 20\n" {
		t.Errorf("%q", got)
	}
	if len(p.warnings) != 1 || !strings.Contains(p.warnings[0], "can't raise ambient capability CAP_CHOWN: ") {
		t.Errorf("warnings %q", p.warnings)
	}
}

func hex(n uint64) string {
	const digits = "0123456789abcdef"
	if n < 16 {
		return digits[n : n+1]
	}
	return hex(n/16) + digits[n%16:n%16+1]
}

// A filter may forbid capset(2): without
// no_new_privs the right to install it is not given up by a call, and the
// payload has not got it all the same.
func TestFilterForbidsCapset(t *testing.T) {
	some := []string{"CAP_KILL", "CAP_CHOWN"}
	for _, nnp := range []bool{false, true} {
		for _, tt := range []struct {
			uid  uint32
			want string
		}{{0, " 21 21 21 \n"}, {1000, "   21 \n"}} {
			p := newPod(t, capProbe)
			p.spec.Process.NoNewPrivileges = nnp
			p.spec.Process.User = specs.User{UID: tt.uid, GID: tt.uid}
			p.spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: some, Permitted: some, Effective: some}
			p.spec.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{
				Names: []string{"capset"}, Action: specs.ActKillProcess,
			}}}
			o := newOutput(t)
			p.create(o)
			if err := p.Start(t.Context(), p.id); err != nil {
				t.Fatal(err)
			}
			if got := o.text(); got != tt.want {
				t.Errorf("no_new_privs %t, user %d: %q, want %q", nnp, tt.uid, got, tt.want)
			}
		}
	}
}

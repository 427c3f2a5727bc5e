package plan

import (
	"slices"
	"strconv"
	"strings"
)

// capNames are the capabilities by number; see capabilities(7) and
// linux/capability.h.
var capNames = [...]string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID",
	"CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE",
	"CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK",
	"CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE",
	"CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
	"CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE",
	"CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG",
	"CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF",
	"CAP_CHECKPOINT_RESTORE",
}

const capSysAdmin = 21

func capWord(n uint8) string {
	if int(n) < len(capNames) {
		return capNames[n]
	}
	return "capability " + strconv.Itoa(int(n))
}

// capReader turns names into bit sets and notes what cannot be had.
type capReader struct {
	have    uint64
	missing []string
}

func (r *capReader) set(names []string) uint64 {
	var set uint64
	for _, name := range names {
		n := capNumber(name)
		if n >= 0 && r.have&(1<<n) != 0 {
			set |= 1 << n
		} else if !slices.Contains(r.missing, name) {
			r.missing = append(r.missing, name)
		}
	}
	return set
}

// capNumber is the number of a capability, -1 for a name nobody knows.
func capNumber(name string) int {
	for n, c := range capNames {
		if c == name {
			return n
		}
	}
	return -1
}

// capList spells out a set, lowest first.
func capList(set uint64) []uint8 {
	var list []uint8
	for n := range uint8(64) {
		if set&(1<<n) != 0 {
			list = append(list, n)
		}
	}
	return list
}

func capWords(set uint64) string {
	var words []string
	for _, n := range capList(set) {
		words = append(words, capWord(n))
	}
	return strings.Join(words, " ")
}

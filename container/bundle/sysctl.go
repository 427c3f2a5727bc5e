package bundle

import (
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/fault"
)

// sysctls fills the kernel parameters. Only those are possible that belong to
// a namespace which the container has for itself; all others are the machine's.
func sysctls(s *specs.Spec, r *container.Request, _ *ocispec.Image, _ Host) error {
	set := map[string]string{}
	if owns(s, specs.NetworkNamespace) {
		// The default capabilities allow both anyway; so does every user then.
		set["net.ipv4.ping_group_range"] = anyoneMayPing
		set["net.ipv4.ip_unprivileged_port_start"] = "0"
	}
	for key, value := range r.Sysctls {
		name := dotted(key)
		if err := checkSysctl(s, r, name, value); err != nil {
			return err
		}
		set[name] = value
	}
	if len(set) > 0 {
		s.Linux.Sysctl = set
	}
	return nil
}

// dotted is the one spelling: sysctl(8) takes net/ipv4/conf/eth0.1/x for an
// interface with a dot, in which "/" separates. Names with both keep theirs.
func dotted(key string) string {
	if strings.Contains(key, ".") {
		return key
	}
	return strings.ReplaceAll(key, "/", ".")
}

func checkSysctl(s *specs.Spec, r *container.Request, key, value string) error {
	if !sysctlName(key) {
		return fault.New(fault.Invalid, "sysctl '%s' is not allowed", key)
	}
	if value == "" || strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c >= 0x7f }) {
		return fault.New(fault.Invalid, "sysctl %s: the value must be printable and on one line", key)
	}
	kind := sysctlNamespace(key)
	switch {
	case kind == "":
		return fault.New(fault.Invalid, "sysctl '%s' is not allowed: it belongs to the whole machine", key)
	case key == "kernel.hostname":
		return fault.New(fault.Invalid, "sysctl '%s' is not allowed: use --hostname", key)
	case key == "kernel.domainname" && r.Domainname != "":
		return fault.New(fault.Invalid, "conflicting options: --domainname and --sysctl %s", key)
	case !owns(s, kind):
		return fault.New(fault.Invalid, "sysctl '%s' is not allowed: the container has no %s namespace of its own", key, kind)
	}
	return nil
}

func sysctlName(key string) bool {
	word := func(c rune) bool {
		return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '.' || c == '/' || c == '-'
	}
	if key == "" || strings.ContainsFunc(key, func(c rune) bool { return !word(c) }) {
		return false
	}
	// ".." climbs, "//" and a dot or slash at an end are other spellings.
	return !strings.Contains(key, "..") && !strings.Contains(key, "//") && !strings.Contains(key, "./") &&
		!strings.Contains(key, "/.") && strings.Trim(key, "./") == key
}

// sysctlNamespace is the kind of namespace that a parameter belongs to, empty
// for the machine's.
func sysctlNamespace(key string) specs.LinuxNamespaceType {
	ipc := []string{
		"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem",
		"kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced",
	}
	switch {
	case slices.Contains(ipc, key), strings.HasPrefix(key, "fs.mqueue."):
		return specs.IPCNamespace
	case key == "kernel.hostname", key == "kernel.domainname":
		return specs.UTSNamespace
	case strings.HasPrefix(key, "net."), strings.HasPrefix(key, "net/"):
		return specs.NetworkNamespace
	}
	return ""
}

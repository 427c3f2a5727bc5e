package oci

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
	"github.com/berth-engine/berth/runtime/plan"
)

// Images are content: somebody may have made them up, and CRIU gives processes
// whatever rights are written there. What a container may do is said by its
// config.json alone. So before its processes go on, each is held against that.

// rights are what /proc/PID/status says of a process.
type rights struct {
	caps     uint64 // all sets together
	noNew    bool   // no_new_privs
	filtered bool   // by seccomp
}

func parseRights(status string) (r rights, err error) {
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.TrimSpace(value)
		switch name {
		case "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb":
			set, perr := strconv.ParseUint(value, 16, 64)
			if perr != nil {
				err = perr
			}
			r.caps |= set
		case "NoNewPrivs":
			r.noNew = value == "1"
		case "Seccomp":
			r.filtered = value == "2"
		}
	}
	return r, err
}

// excess is what a process may do that its specification does not grant; "" is
// nothing. That it may gain rights is not excess yet.
func (r rights) excess(s *specs.Spec) string {
	granted := ^uint64(0) // as the plan has it: who names none keeps all
	if p := s.Process; p != nil && p.Capabilities != nil {
		c := p.Capabilities
		granted = 0
		for _, names := range [][]string{c.Bounding, c.Effective, c.Permitted, c.Inheritable, c.Ambient} {
			granted |= plan.CapSet(names)
		}
	}
	switch {
	case r.caps&^granted != 0:
		return "has " + plan.CapWords(r.caps&^granted)
	case s.Linux.Seccomp != nil && !r.filtered:
		return "has no seccomp filter"
	}
	return ""
}

// wantedNamespaces are the flags of those that a specification has made.
func wantedNamespaces(s *specs.Spec) (flags uint64) {
	for _, n := range s.Linux.Namespaces {
		if n.Path == "" {
			_, flag := plan.NamespaceFile(n.Type)
			flags |= flag
		}
	}
	return flags
}

// confined holds every process of the container against its specification.
func (c *restoration) confined() error {
	pids, err := c.cg.Pids()
	if err != nil {
		return err
	}
	mayGain := false
	for _, pid := range append(pids, c.proc.Pid) {
		if pid == c.criuPid {
			continue
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return err
		}
		r, err := parseRights(string(status))
		if err != nil {
			return err
		}
		what := r.excess(c.spec)
		if what == "" {
			what, err = c.unlike(pid)
		}
		if err != nil {
			return err
		}
		if what != "" {
			return fault.New(fault.Denied, "restore %s: process %d of the images %s, which config.json does not say; add it there if it shall be", c.in.ID, pid, what)
		}
		mayGain = mayGain || !r.noNew
	}
	c.checked = true
	if c.spec.Process == nil || !c.spec.Process.NoNewPrivileges || !mayGain {
		return nil
	}
	return c.denyGain()
}

// unlike says where a process is that is not what the specification says.
func (c *restoration) unlike(pid int) (string, error) {
	apart, err := namespacesApart(pid)
	if err != nil {
		return "", err
	}
	if missing := wantedNamespaces(c.spec) &^ apart; missing != 0 {
		return "is in the machine's " + plan.NamespaceWords(missing) + " namespace", nil
	}
	return c.mislabelled(pid)
}

// mislabelled says by what a process is confined when that is not what it should
// be. What --lsm-profile asks for must be there, whatever config.json says.
func (c *restoration) mislabelled(pid int) (string, error) {
	p := c.spec.Process
	_, other, asked := strings.Cut(c.in.LSMProfile, ":")
	if !asked && (p == nil || p.ApparmorProfile+p.SelinuxLabel == "") {
		return "", nil
	}
	label, err := os.ReadFile(fmt.Sprintf("/proc/%d/attr/current", pid))
	if err != nil {
		return "", nil //nolint:nilerr // no such module here, so no container has a label
	}
	name, _, _ := strings.Cut(strings.TrimRight(string(label), "\x00\n"), " (")
	switch {
	case asked && name != other:
		return "", fault.New(fault.Denied, "restore %s: --lsm-profile %s: process %d is confined by %q; CRIU gives another profile only to what had one", c.in.ID, c.in.LSMProfile, pid, name)
	case asked || name == "" || name == p.ApparmorProfile || name == p.SelinuxLabel:
		return "", nil
	}
	return "is confined by " + strconv.Quote(name), nil
}

// checkProfile refuses an AppArmor profile that the machine does not have: CRIU
// breaks down over it, after its last step.
func (q *RestoreRequest) checkProfile() error {
	name := ""
	if p := q.Bundle.Spec.Process; p != nil {
		name = p.ApparmorProfile
	}
	switch module, other, ok := strings.Cut(q.LSMProfile, ":"); {
	case ok && module == "apparmor":
		name = other
	case ok:
		name = ""
	case q.LSMProfile != "":
		return fault.New(fault.Invalid, "--lsm-profile %q: give TYPE:NAME, with apparmor or selinux for the type", q.LSMProfile)
	}
	if name == "" || name == "unconfined" {
		return nil
	}
	loaded, err := os.ReadFile("/sys/kernel/security/apparmor/profiles") // NAME (MODE), a line each
	if err != nil || strings.Contains("\n"+string(loaded), "\n"+name+" (") {
		return nil //nolint:nilerr // nobody can tell
	}
	return fault.New(fault.NotFound, "restore %s: apparmor profile %q is not loaded; load it with apparmor_parser", q.ID, name)
}

// denyGain is for a CRIU that does not restore no_new_privs, which nobody can
// set for another process. What it is for can be had by the mounts: on those
// with nosuid no program gives rights.
func (c *restoration) denyGain() error {
	c.r.warn(fault.New(fault.Unsupported, "restore %s: criu does not restore no_new_privs; the container's mounts are nosuid in its place", c.in.ID))
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/mnt", c.proc.Pid))
	if err != nil {
		return err
	}
	defer ns.Close()
	if makesNamespace(c.spec, specs.MountNamespace) {
		return fault.Op("mount nosuid", "", setNosuid(ns))
	}
	return fault.New(fault.Unsupported, "restore %s: process.noNewPrivileges cannot be kept in the machine's mounts", c.in.ID)
}

// setNosuid works in another mount namespace, with a thread that is not used
// again.
func setNosuid(ns *os.File) error {
	return kernel.Apart(func() error {
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return os.NewSyscallError("unshare", err)
		}
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNS); err != nil {
			return os.NewSyscallError("setns", err)
		}
		attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID}
		return os.NewSyscallError("mount_setattr", unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, attr))
	})
}

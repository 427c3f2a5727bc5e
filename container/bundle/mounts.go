package bundle

import (
	"cmp"
	"path"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/fault"
)

// mounts fills the mounts in the order in which they are made: the kernel's
// file systems, then the engine's files and the user's mounts by the depth of
// their destination, then the init. A mount of the user at the place of a
// default, or above it, replaces it.
func mounts(s *specs.Spec, r *container.Request, _ *ocispec.Image, h Host) error {
	asked, err := userMounts(r, h)
	if err != nil {
		return err
	}
	taken := map[string]bool{}
	for _, m := range asked {
		if taken[m.Destination] {
			return fault.New(fault.Invalid, "Duplicate mount point: %s", m.Destination)
		}
		taken[m.Destination] = true
	}
	more, err := engineMounts(r, h)
	if err != nil {
		return err
	}
	for _, m := range more {
		if !taken[m.Destination] {
			asked, taken[m.Destination] = append(asked, m), true
		}
	}
	for _, m := range defaultMounts() {
		if covered(m.Destination, asked) {
			continue
		}
		if m.Destination == "/dev/shm" {
			if r.IPC == "none" {
				continue
			}
			m.Options = append(m.Options, "size="+strconv.FormatInt(shmSize(r), 10))
		}
		if writableKernel(m, r) {
			m.Options = slices.DeleteFunc(m.Options, func(o string) bool { return o == "ro" })
		}
		s.Mounts = append(s.Mounts, m)
	}
	slices.SortStableFunc(asked, func(a, b specs.Mount) int { return cmp.Compare(depth(a), depth(b)) })
	s.Mounts = append(s.Mounts, asked...)
	if initWanted(r) {
		s.Mounts = append(s.Mounts, bind(h.InitPath, initTarget, true, false))
	}
	s.Linux.RootfsPropagation = rootPropagation(r.Mounts)
	return nil
}

// covered: a mount of the user's at dest or above it would hide a default one.
func covered(dest string, asked []specs.Mount) bool {
	return slices.ContainsFunc(asked, func(m specs.Mount) bool {
		return dest == m.Destination || strings.HasPrefix(dest, m.Destination+"/")
	})
}

func depth(m specs.Mount) int { return strings.Count(m.Destination, "/") }

func shmSize(r *container.Request) int64 {
	if r.ShmSize > 0 {
		return r.ShmSize
	}
	return defaultShmSize
}

func writableKernel(m specs.Mount, r *container.Request) bool {
	switch m.Type {
	case "sysfs":
		return r.Privileged
	case "cgroup":
		return r.Privileged || r.Security.WritableCgroups
	}
	return false
}

// engineMounts are the files below /etc and the shared memory of others.
func engineMounts(r *container.Request, h Host) ([]specs.Mount, error) {
	var list []specs.Mount
	for _, f := range [][2]string{
		{h.ResolvConf, "/etc/resolv.conf"}, {h.HostnameFile, "/etc/hostname"}, {h.Hosts, "/etc/hosts"},
	} {
		if f[0] != "" {
			list = append(list, bind(f[0], f[1], r.ReadOnly, true))
		}
	}
	joins := strings.HasPrefix(r.IPC, "container:")
	switch {
	case r.IPC == "host":
		list = append(list, bind("/dev/shm", "/dev/shm", false, true))
	case h.ShmPath != "" && (joins || r.IPC == "shareable"):
		list = append(list, bind(h.ShmPath, "/dev/shm", false, true))
	case joins:
		return nil, fault.New(fault.Conflict, "--ipc %s: non-shareable IPC (hint: use --ipc shareable for the donor container)", r.IPC)
	}
	return list, nil
}

func bind(source, target string, ro, recursive bool) specs.Mount {
	options := []string{"bind"}
	if recursive {
		options[0] = "rbind"
	}
	if ro {
		options = append(options, "ro")
	}
	return specs.Mount{Destination: target, Type: "bind", Source: source, Options: append(options, "rprivate")}
}

func userMounts(r *container.Request, h Host) ([]specs.Mount, error) {
	var list []specs.Mount
	for _, m := range r.Mounts {
		target, err := mountTarget(m.Target)
		if err != nil {
			return nil, err
		}
		out := specs.Mount{Destination: target, Type: m.Type}
		switch m.Type {
		case "bind":
			out.Source, out.Options, err = bindOptions(m, h)
		case "tmpfs":
			out.Source, out.Options, err = "tmpfs", nil, container.CheckTmpfsOptions(m.Options)
			out.Options = tmpfsOptions(m)
		case "volume":
			err = fault.New(fault.Unsupported, "volume %q for %s: volumes are not in this build, mount a directory by its absolute path instead", m.Source, target)
		default:
			err = fault.New(fault.Invalid, "mount type unknown: %q", m.Type)
		}
		if err != nil {
			return nil, err
		}
		list = append(list, out)
	}
	return list, nil
}

// mountTarget cleans a target and refuses places that belong to the runtime.
// That links inside the root cannot lead there is the launcher's to see to.
func mountTarget(target string) (string, error) {
	if !path.IsAbs(target) {
		return "", fault.New(fault.Invalid, "invalid mount path: '%s' mount path must be absolute", target)
	}
	t := path.Clean(target)
	switch {
	case t == "/":
		return "", fault.New(fault.Invalid, "invalid specification: destination can't be '/'")
	case t == "/proc" || strings.HasPrefix(t, "/proc/") && !slices.Contains(procFiles(), t):
		return "", fault.New(fault.Invalid, "invalid mount path: '%s': nothing may be mounted over /proc", target)
	case isCoreNode(t):
		return "", fault.New(fault.Invalid, "invalid mount path: '%s' is a device of every container", target)
	}
	return t, nil
}

func isCoreNode(p string) bool {
	return slices.ContainsFunc(coreNodes(), func(n string) bool { return p == n || strings.HasPrefix(p, n+"/") })
}

func bindOptions(m container.Mount, h Host) (string, []string, error) {
	if !path.IsAbs(m.Source) {
		return "", nil, fault.New(fault.Invalid, "invalid mount config for type \"bind\": invalid mount path: '%s' mount path must be absolute", m.Source)
	}
	if m.Relabel != "" && h.ProcessLabel != "" {
		return "", nil, fault.New(fault.Unsupported, "mount %s: relabelling (%s) is not in this build", m.Target, m.Relabel)
	}
	options := []string{"rbind"}
	if m.Recursive == "disabled" {
		options[0] = "bind"
	}
	if m.ReadOnly {
		ro, err := readOnlyWord(m, h)
		if err != nil {
			return "", nil, err
		}
		options = append(options, ro)
	}
	p := m.Propagation
	switch p {
	case "":
		p = "rprivate"
	case "rprivate", "private", "rshared", "shared", "rslave", "slave":
	default:
		return "", nil, fault.New(fault.Invalid, "invalid bind propagation %q", p)
	}
	return path.Clean(m.Source), append(options, p), nil
}

// readOnlyWord is "rro", read-only down the tree, wherever the kernel can and
// nobody asked for less; "ro" spares what is mounted below the source.
func readOnlyWord(m container.Mount, h Host) (string, error) {
	switch m.Recursive {
	case "", "enabled":
		if h.RecursiveReadOnly {
			return "rro", nil
		}
		return "ro", nil
	case "disabled", "writable":
		return "ro", nil
	case "readonly":
		if h.RecursiveReadOnly {
			return "rro", nil
		}
		return "", fault.New(fault.Unsupported, "bind-recursive=readonly: recursive read-only mounts need kernel 5.12")
	}
	return "", fault.New(fault.Invalid, "invalid value for bind-recursive: %s", m.Recursive)
}

// tmpfsOptions: the user's words come after the careful defaults and undo
// those that they contradict.
func tmpfsOptions(m container.Mount) []string {
	options := []string{"noexec", "nosuid", "nodev", "rprivate"}
	against := map[string]string{"exec": "noexec", "suid": "nosuid", "dev": "nodev"}
	for _, o := range m.Options {
		options = slices.DeleteFunc(options, func(have string) bool { return have == against[o] || have == o })
		options = append(options, o)
	}
	if m.ReadOnly && !slices.Contains(options, "ro") {
		options = append(options, "ro")
	}
	if m.Size > 0 {
		options = append(options, "size="+strconv.FormatInt(m.Size, 10))
	}
	if m.Mode != 0 {
		options = append(options, "mode="+strconv.FormatUint(uint64(m.Mode), 8))
	}
	return options
}

// rootPropagation: a shared volume works only below a shared root, a slave one
// below a slave or shared root. Empty leaves it to the runtime: private.
func rootPropagation(list []container.Mount) string {
	word := ""
	for _, m := range list {
		switch strings.TrimPrefix(m.Propagation, "r") {
		case "shared":
			return "shared"
		case "slave":
			word = "rslave"
		}
	}
	return word
}

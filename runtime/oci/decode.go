package oci

import (
	"os"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/jsontext"
)

// The fields that containers have as a rule are read here; what is rare is
// left to encoding/json, part by part. See package jsontext.

// parseSpec decodes and checks config.json; path is for errors.
func parseSpec(path string, data []byte) (*specs.Spec, error) {
	s := new(specs.Spec)
	if err := jsontext.Decode(data, s, readAll); err != nil {
		return nil, fault.New(fault.Invalid, "%s: %w", path, err)
	}
	if major, _, ok := strings.Cut(s.Version, "."); !ok || major != "1" {
		return nil, fault.New(fault.Invalid, "%s: ociVersion %q: this runtime knows version 1", path, s.Version)
	}
	return s, checkSpec(path, s)
}

// ParseProcess decodes a process; path is for errors.
func ParseProcess(path string, data []byte) (*specs.Process, error) {
	p := new(specs.Process)
	if err := jsontext.Decode(data, p, readProcess); err != nil {
		return nil, fault.New(fault.Invalid, "%s: %w", path, err)
	}
	if len(p.Args) == 0 {
		return nil, fault.New(fault.Invalid, "%s: args: must name a program", path)
	}
	return p, nil
}

func readAll(r *jsontext.Reader, s *specs.Spec) {
	for key := range r.Object() {
		switch key {
		case "ociVersion":
			s.Version = r.Text()
		case "process":
			s.Process = new(specs.Process)
			readProcess(r, s.Process)
		case "root":
			s.Root = new(specs.Root)
			readRoot(r, s.Root)
		case "hostname":
			s.Hostname = r.Text()
		case "domainname":
			s.Domainname = r.Text()
		case "mounts":
			s.Mounts = jsontext.List(r, readMount)
		case "annotations":
			s.Annotations = r.Table()
		case "linux":
			s.Linux = new(specs.Linux)
			readLinux(r, s.Linux)
		default:
			r.Leave(key, s)
		}
	}
}

func readRoot(r *jsontext.Reader, root *specs.Root) {
	for key := range r.Object() {
		switch key {
		case "path":
			root.Path = r.Text()
		case "readonly":
			root.Readonly = r.Bool()
		default:
			r.Leave(key, root)
		}
	}
}

func readMount(r *jsontext.Reader, m *specs.Mount) {
	for key := range r.Object() {
		switch key {
		case "destination":
			m.Destination = r.Text()
		case "type":
			m.Type = r.Text()
		case "source":
			m.Source = r.Text()
		case "options":
			m.Options = r.Texts()
		default:
			r.Leave(key, m)
		}
	}
}

func readProcess(r *jsontext.Reader, p *specs.Process) {
	for key := range r.Object() {
		switch key {
		case "terminal":
			p.Terminal = r.Bool()
		case "user":
			readUser(r, &p.User)
		case "args":
			p.Args = r.Texts()
		case "env":
			p.Env = r.Texts()
		case "cwd":
			p.Cwd = r.Text()
		case "capabilities":
			p.Capabilities = new(specs.LinuxCapabilities)
			readCapabilities(r, p.Capabilities)
		case "rlimits":
			p.Rlimits = jsontext.List(r, readRlimit)
		case "noNewPrivileges":
			p.NoNewPrivileges = r.Bool()
		case "apparmorProfile":
			p.ApparmorProfile = r.Text()
		case "selinuxLabel":
			p.SelinuxLabel = r.Text()
		case "oomScoreAdj":
			adj := int(r.Int(32))
			p.OOMScoreAdj = &adj
		default:
			r.Leave(key, p)
		}
	}
}

func readUser(r *jsontext.Reader, u *specs.User) {
	for key := range r.Object() {
		switch key {
		case "uid":
			u.UID = uint32(r.Uint(32))
		case "gid":
			u.GID = uint32(r.Uint(32))
		case "additionalGids":
			u.AdditionalGids = []uint32{}
			for range r.Array() {
				u.AdditionalGids = append(u.AdditionalGids, uint32(r.Uint(32)))
			}
		default:
			r.Leave(key, u)
		}
	}
}

func readCapabilities(r *jsontext.Reader, c *specs.LinuxCapabilities) {
	for key := range r.Object() {
		switch key {
		case "bounding":
			c.Bounding = r.Texts()
		case "effective":
			c.Effective = r.Texts()
		case "inheritable":
			c.Inheritable = r.Texts()
		case "permitted":
			c.Permitted = r.Texts()
		case "ambient":
			c.Ambient = r.Texts()
		default:
			r.Leave(key, c)
		}
	}
}

func readRlimit(r *jsontext.Reader, l *specs.POSIXRlimit) {
	for key := range r.Object() {
		switch key {
		case "type":
			l.Type = r.Text()
		case "hard":
			l.Hard = r.Uint(64)
		case "soft":
			l.Soft = r.Uint(64)
		default:
			r.Leave(key, l)
		}
	}
}

func readLinux(r *jsontext.Reader, l *specs.Linux) {
	for key := range r.Object() {
		switch key {
		case "uidMappings":
			l.UIDMappings = jsontext.List(r, readIDMap)
		case "gidMappings":
			l.GIDMappings = jsontext.List(r, readIDMap)
		case "sysctl":
			l.Sysctl = r.Table()
		case "resources":
			l.Resources = new(specs.LinuxResources)
			readResources(r, l.Resources)
		case "cgroupsPath":
			l.CgroupsPath = r.Text()
		case "namespaces":
			l.Namespaces = jsontext.List(r, readNamespace)
		case "devices":
			l.Devices = jsontext.List(r, readDevice)
		case "seccomp":
			l.Seccomp = new(specs.LinuxSeccomp)
			readSeccomp(r, l.Seccomp)
		case "rootfsPropagation":
			l.RootfsPropagation = r.Text()
		case "maskedPaths":
			l.MaskedPaths = r.Texts()
		case "readonlyPaths":
			l.ReadonlyPaths = r.Texts()
		case "mountLabel":
			l.MountLabel = r.Text()
		default:
			r.Leave(key, l)
		}
	}
}

func readIDMap(r *jsontext.Reader, m *specs.LinuxIDMapping) {
	for key := range r.Object() {
		switch key {
		case "containerID":
			m.ContainerID = uint32(r.Uint(32))
		case "hostID":
			m.HostID = uint32(r.Uint(32))
		case "size":
			m.Size = uint32(r.Uint(32))
		default:
			r.Leave(key, m)
		}
	}
}

func readNamespace(r *jsontext.Reader, n *specs.LinuxNamespace) {
	for key := range r.Object() {
		switch key {
		case "type":
			n.Type = specs.LinuxNamespaceType(r.Text())
		case "path":
			n.Path = r.Text()
		default:
			r.Leave(key, n)
		}
	}
}

func readDevice(r *jsontext.Reader, d *specs.LinuxDevice) {
	for key := range r.Object() {
		switch key {
		case "path":
			d.Path = r.Text()
		case "type":
			d.Type = r.Text()
		case "major":
			d.Major = r.Int(64)
		case "minor":
			d.Minor = r.Int(64)
		case "fileMode":
			mode := os.FileMode(r.Uint(32))
			d.FileMode = &mode
		case "uid":
			uid := uint32(r.Uint(32))
			d.UID = &uid
		case "gid":
			gid := uint32(r.Uint(32))
			d.GID = &gid
		default:
			r.Leave(key, d)
		}
	}
}

func readResources(r *jsontext.Reader, res *specs.LinuxResources) {
	for key := range r.Object() {
		switch key {
		case "devices":
			res.Devices = jsontext.List(r, readDeviceRule)
		case "memory":
			res.Memory = new(specs.LinuxMemory)
			readMemory(r, res.Memory)
		case "cpu":
			res.CPU = new(specs.LinuxCPU)
			readCPU(r, res.CPU)
		case "pids":
			res.Pids = new(specs.LinuxPids)
			readPids(r, res.Pids)
		default:
			r.Leave(key, res)
		}
	}
}

func readDeviceRule(r *jsontext.Reader, d *specs.LinuxDeviceCgroup) {
	for key := range r.Object() {
		switch key {
		case "allow":
			d.Allow = r.Bool()
		case "type":
			d.Type = r.Text()
		case "major":
			d.Major = number(r)
		case "minor":
			d.Minor = number(r)
		case "access":
			d.Access = r.Text()
		default:
			r.Leave(key, d)
		}
	}
}

func number(r *jsontext.Reader) *int64 {
	n := r.Int(64)
	return &n
}

func readMemory(r *jsontext.Reader, m *specs.LinuxMemory) {
	for key := range r.Object() {
		switch key {
		case "limit":
			m.Limit = number(r)
		case "reservation":
			m.Reservation = number(r)
		case "swap":
			m.Swap = number(r)
		default:
			r.Leave(key, m)
		}
	}
}

func readCPU(r *jsontext.Reader, c *specs.LinuxCPU) {
	for key := range r.Object() {
		switch key {
		case "shares":
			n := r.Uint(64)
			c.Shares = &n
		case "quota":
			c.Quota = number(r)
		case "period":
			n := r.Uint(64)
			c.Period = &n
		case "cpus":
			c.Cpus = r.Text()
		case "mems":
			c.Mems = r.Text()
		default:
			r.Leave(key, c)
		}
	}
}

func readPids(r *jsontext.Reader, p *specs.LinuxPids) {
	for key := range r.Object() {
		switch key {
		case "limit":
			p.Limit = number(r)
		default:
			r.Leave(key, p)
		}
	}
}

func readSeccomp(r *jsontext.Reader, s *specs.LinuxSeccomp) {
	for key := range r.Object() {
		switch key {
		case "defaultAction":
			s.DefaultAction = specs.LinuxSeccompAction(r.Text())
		case "defaultErrnoRet":
			errno := uint(r.Uint(32))
			s.DefaultErrnoRet = &errno
		case "architectures":
			s.Architectures = []specs.Arch{}
			for range r.Array() {
				s.Architectures = append(s.Architectures, specs.Arch(r.Text()))
			}
		case "syscalls":
			s.Syscalls = jsontext.List(r, readSyscall)
		default:
			r.Leave(key, s)
		}
	}
}

func readSyscall(r *jsontext.Reader, c *specs.LinuxSyscall) {
	for key := range r.Object() {
		switch key {
		case "names":
			c.Names = r.Texts()
		case "action":
			c.Action = specs.LinuxSeccompAction(r.Text())
		case "errnoRet":
			errno := uint(r.Uint(32))
			c.ErrnoRet = &errno
		case "args":
			c.Args = jsontext.List(r, readArg)
		default:
			r.Leave(key, c)
		}
	}
}

func readArg(r *jsontext.Reader, a *specs.LinuxSeccompArg) {
	for key := range r.Object() {
		switch key {
		case "index":
			a.Index = uint(r.Uint(32))
		case "value":
			a.Value = r.Uint(64)
		case "valueTwo":
			a.ValueTwo = r.Uint(64)
		case "op":
			a.Op = specs.LinuxSeccompOperator(r.Text())
		default:
			r.Leave(key, a)
		}
	}
}

package seccomp

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/jsontext"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// Limits for a profile file. Docker's own has 13 KiB and a depth of 5.
const (
	maxProfile = 1 << 20
	maxDepth   = 16
)

// A dockerProfile is Docker's file format, a superset of the one of OCI. What
// is not listed here is an error: a misspelt "args" would open a call wide.
type dockerProfile struct {
	DefaultAction    specs.LinuxSeccompAction `json:"defaultAction"`
	DefaultErrnoRet  *uint                    `json:"defaultErrnoRet"`
	DefaultErrno     string                   `json:"defaultErrno"` // Podman: a name, for the reader
	Architectures    []specs.Arch             `json:"architectures"`
	ArchMap          []dockerArch             `json:"archMap"`
	Flags            []specs.LinuxSeccompFlag `json:"flags"`
	ListenerPath     string                   `json:"listenerPath"`
	ListenerMetadata string                   `json:"listenerMetadata"`
	Syscalls         []dockerRule             `json:"syscalls"`
	Comment          string                   `json:"comment"`
}

type dockerArch struct {
	Arch specs.Arch   `json:"architecture"`
	Sub  []specs.Arch `json:"subArchitectures"`
}

type dockerRule struct {
	Name     string                   `json:"name"` // before names there was one
	Names    []string                 `json:"names"`
	Action   specs.LinuxSeccompAction `json:"action"`
	ErrnoRet *uint                    `json:"errnoRet"`
	Errno    string                   `json:"errno"` // Podman
	Args     []specs.LinuxSeccompArg  `json:"args"`
	Comment  string                   `json:"comment"`
	Includes dockerFilter             `json:"includes"`
	Excludes dockerFilter             `json:"excludes"`
}

type dockerFilter struct {
	Caps      []string `json:"caps"`
	Arches    []string `json:"arches"`
	MinKernel string   `json:"minKernel"` // "4.8"
}

// FromDocker reads the profile of --security-opt seccomp=FILE, in the format
// of Docker or of OCI, and picks what applies to h. The result compiles on h.
func FromDocker(profile []byte, h Host) (*specs.LinuxSeccomp, error) {
	p, err := fromDocker(profile, h)
	if err != nil {
		return nil, fault.Op("seccomp.profile", "", err)
	}
	return p, nil
}

func fromDocker(text []byte, h Host) (*specs.LinuxSeccomp, error) {
	d, err := decode(text)
	if err != nil {
		return nil, err
	}
	m, ok := machineOf(h.Arch)
	if !ok {
		return nil, fault.New(fault.Unsupported, "no system call table for %s", h.Arch)
	}
	p, err := d.profile()
	if err != nil {
		return nil, err
	}
	// Check all rules while their places are those in the file.
	if _, err := resolve(p, ""); err != nil {
		return nil, err
	}
	all := p.Syscalls
	p.Syscalls = nil
	for i, r := range d.Syscalls {
		ok, err := r.applies(m, h)
		if err != nil {
			return nil, fault.Op(item("syscalls", i), "", err)
		}
		if ok {
			p.Syscalls = append(p.Syscalls, all[i])
		}
	}
	p.Architectures = append(p.Architectures, d.mapped(m)...)
	_, err = compile(p, h.Arch)
	return p, err
}

// decode parses the file and nothing but the file.
func decode(text []byte) (*dockerProfile, error) {
	if len(text) > maxProfile {
		return nil, fault.New(fault.TooLarge, "the profile has %d bytes, at most %d are read", len(text), maxProfile)
	}
	if jsontext.Depth(text) > maxDepth {
		return nil, fault.New(fault.TooLarge, "the profile is nested more than %d deep", maxDepth)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	d := new(dockerProfile)
	if err := dec.Decode(d); err != nil {
		return nil, fault.As(fault.Invalid, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fault.New(fault.Invalid, "there is more after the profile's last brace")
	}
	return d, nil
}

// profile returns the OCI form with all rules, before the filters are asked.
func (d *dockerProfile) profile() (*specs.LinuxSeccomp, error) {
	top := spot{rule: -1}
	if len(d.Architectures) > 0 && len(d.ArchMap) > 0 {
		return nil, top.invalid("archMap", "cannot be used together with architectures")
	}
	for i, a := range d.ArchMap {
		for _, name := range append([]specs.Arch{a.Arch}, a.Sub...) {
			if !slices.Contains(architectures[:], name) {
				return nil, top.invalid(item("archMap", i), "unknown architecture %q", name)
			}
		}
	}
	p := &specs.LinuxSeccomp{
		DefaultAction:    d.DefaultAction,
		Architectures:    d.Architectures,
		Flags:            d.Flags,
		ListenerPath:     d.ListenerPath,
		ListenerMetadata: d.ListenerMetadata,
	}
	var err error
	if p.DefaultErrnoRet, err = errnoOf(d.DefaultErrnoRet, d.DefaultErrno); err != nil {
		return nil, fault.Op("defaultErrno", "", err)
	}
	for i, r := range d.Syscalls {
		s, err := r.syscall()
		if err != nil {
			return nil, fault.Op(item("syscalls", i), "", err)
		}
		p.Syscalls = append(p.Syscalls, s)
	}
	return p, nil
}

func (r *dockerRule) syscall() (s specs.LinuxSyscall, err error) {
	s = specs.LinuxSyscall{Names: r.Names, Action: r.Action, Args: r.Args}
	if r.Name != "" {
		if len(r.Names) > 0 {
			return s, fault.New(fault.Invalid, "name and names cannot be used together")
		}
		s.Names = []string{r.Name}
	}
	s.ErrnoRet, err = errnoOf(r.ErrnoRet, r.Errno)
	return s, err
}

// applies reports whether the rule is for this host: nothing of Excludes and
// all of Includes must be true; of arches one.
func (r *dockerRule) applies(m machine, h Host) (bool, error) {
	in, ex := r.Includes, r.Excludes
	inKernel, err := kernelAtLeast(in.MinKernel, h)
	if err != nil {
		return false, err
	}
	exKernel, err := kernelAtLeast(ex.MinKernel, h)
	if err != nil {
		return false, err
	}
	has := func(c string) bool { return slices.Contains(h.Caps, c) }
	switch {
	case slices.Contains(ex.Arches, m.docker),
		slices.ContainsFunc(ex.Caps, has),
		ex.MinKernel != "" && exKernel:
		return false, nil
	case len(in.Arches) > 0 && !slices.Contains(in.Arches, m.docker),
		slices.ContainsFunc(in.Caps, func(c string) bool { return !has(c) }),
		in.MinKernel != "" && !inKernel:
		return false, nil
	}
	return true, nil
}

// kernelAtLeast compares the host's kernel with "major.minor".
func kernelAtLeast(version string, h Host) (bool, error) {
	if version == "" {
		return true, nil
	}
	a, b, _ := strings.Cut(version, ".")
	major, err1 := strconv.ParseUint(a, 10, 16)
	minor, err2 := strconv.ParseUint(b, 10, 16)
	if err1 != nil || err2 != nil {
		return false, fault.New(fault.Invalid, "minKernel %q is not of the form 4.8", version)
	}
	return atLeast(h.Kernel, int(major), int(minor)), nil
}

// mapped returns the architectures of the archMap's line for this machine.
func (d *dockerProfile) mapped(m machine) []specs.Arch {
	for _, a := range d.ArchMap {
		if a.Arch == abiNames[m.abis[0]] {
			return append([]specs.Arch{a.Arch}, a.Sub...)
		}
	}
	return nil
}

// errnoOf returns the number of an action; Podman's profiles also name it.
func errnoOf(number *uint, name string) (*uint, error) {
	if number != nil || name == "" {
		return number, nil
	}
	n := uint(0)
	switch name {
	case "EPERM":
		n = ePerm
	case "ENOENT":
		n = 2
	case "EIO":
		n = 5
	case "EAGAIN":
		n = 11
	case "ENOMEM":
		n = 12
	case "EACCES":
		n = 13
	case "EINVAL":
		n = 22
	case "ENOSYS":
		n = eNoSys
	case "EAFNOSUPPORT":
		n = 97
	default:
		return nil, fault.New(fault.Invalid, "unknown errno %q, give errnoRet instead", name)
	}
	return &n, nil
}

package bundle

import (
	"maps"
	"path"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/fault"
)

// Spec merges request, image and host into a specification. It fails with
// fault.Invalid when the request contradicts itself, with fault.Unsupported
// when this machine or build lacks something that was asked for. img may be
// nil (--rootfs).
func Spec(r *container.Request, img *ocispec.Image, h Host) (*specs.Spec, error) {
	if img == nil {
		img = new(ocispec.Image)
	}
	s := &specs.Spec{
		Version:     specs.Version,
		Root:        &specs.Root{Path: h.Rootfs, Readonly: r.ReadOnly},
		Annotations: maps.Clone(r.Annotations),
		Process:     new(specs.Process),
		Linux:       &specs.Linux{CgroupsPath: h.CgroupsPath},
	}
	// Each step fills its own part and reads the earlier ones; the order is
	// that of the functions' needs: namespaces decide what else is possible.
	for _, fill := range []func(*specs.Spec, *container.Request, *ocispec.Image, Host) error{
		namespaces, names, process, capabilities, mounts, devices, resources, rlimits, sysctls, confine,
	} {
		if err := fill(s, r, img, h); err != nil {
			return nil, err
		}
	}
	if err := checkStrings(s); err != nil {
		return nil, err
	}
	return s, nil
}

// process fills what the payload is, runs as and sees.
func process(s *specs.Spec, r *container.Request, img *ocispec.Image, h Host) error {
	args, err := Command(r, img)
	if err != nil {
		return err
	}
	if initWanted(r) {
		if h.InitPath == "" {
			return fault.New(fault.Unsupported, "--init: no init program was found on this machine")
		}
		args = append([]string{initTarget, "--"}, args...)
	}
	cwd, err := workDir(r, img)
	if err != nil {
		return err
	}
	env, err := environment(r, img, h)
	if err != nil {
		return err
	}
	p := s.Process
	p.Args, p.Cwd, p.Env = args, cwd, env
	p.User = specs.User{UID: h.User.UID, GID: h.User.GID, AdditionalGids: append([]uint32{h.User.GID}, h.User.Groups...)}
	p.NoNewPrivileges = r.Security.NoNewPrivileges
	p.Terminal = r.TTY
	if r.TTY && h.Console != [2]uint{} {
		p.ConsoleSize = &specs.Box{Height: h.Console[0], Width: h.Console[1]}
	}
	if r.OOMScoreAdj < -1000 || r.OOMScoreAdj > 1000 {
		return fault.New(fault.Invalid, "Invalid value %d, range for oom score adj is [-1000, 1000]", r.OOMScoreAdj)
	}
	score := r.OOMScoreAdj // always set: the monitor's own is far below 0
	p.OOMScoreAdj = &score
	return nil
}

// initWanted: in a pid namespace of others the init would not be process 1.
func initWanted(r *container.Request) bool {
	return r.Init && (r.PID == "" || r.PID == "private")
}

func workDir(r *container.Request, img *ocispec.Image) (string, error) {
	switch {
	case r.WorkDir != "" && !path.IsAbs(r.WorkDir):
		return "", fault.New(fault.Invalid, "the working directory '%s' is invalid, it needs to be an absolute path", r.WorkDir)
	case r.WorkDir != "":
		return path.Clean(r.WorkDir), nil
	default:
		return path.Clean("/" + img.Config.WorkingDir), nil
	}
}

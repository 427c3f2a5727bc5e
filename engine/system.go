package engine

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/runtime/cgroup"
)

// Info is what an engine says of itself and its machine.
type Info struct {
	Containers, Running, Paused, Stopped, Images int
	Driver                                       string
	CgroupDriver, CgroupVersion                  string
	SecurityOptions                              []string
	Root, State                                  string
	Runtime                                      string // path of berth-oci, "" if missing
	KernelVersion, OperatingSystem, Name         string
	OSType, Architecture                         string
	CPUs                                         int
	Memory                                       int64
	Warnings                                     []string
}

// Info counts and looks; what cannot be found out is left empty.
func (s *System) Info(ctx context.Context) (Info, error) {
	i := Info{
		Driver: "overlay", CgroupDriver: "cgroupfs", Root: s.cfg.Root, State: s.cfg.State,
		OSType: runtime.GOOS, Architecture: machine(), CPUs: runtime.NumCPU(), Memory: totalMemory(),
		KernelVersion: oneLine("/proc/sys/kernel/osrelease"), OperatingSystem: osName(),
	}
	i.Name, _ = os.Hostname()
	if exe, err := s.runtime(); err == nil {
		i.Runtime = exe
	} else {
		i.Warnings = append(i.Warnings, err.Error())
	}
	if l, err := cgroup.Detect(); err == nil {
		i.CgroupVersion = cgroupVersion(l)
	}
	if _, err := os.Lstat("/proc/sys/kernel/seccomp"); err == nil {
		i.SecurityOptions = append(i.SecurityOptions, "name=seccomp,profile=builtin")
	}
	i.SecurityOptions = append(i.SecurityOptions, "name=cgroupns")
	return i, s.count(ctx, &i)
}

func (s *System) count(ctx context.Context, i *Info) error {
	items, err := (&Containers{s.rooms}).List(ctx, ListRequest{All: true})
	if err != nil && items == nil {
		return err
	}
	i.Containers = len(items)
	for _, it := range items {
		switch it.Status.State {
		case container.Running, container.Restarting:
			i.Running++
		case container.Paused:
			i.Paused++
		default:
			i.Stopped++
		}
	}
	images, err := (&Images{s.rooms}).List()
	i.Images = len(images)
	return err
}

func cgroupVersion(l *cgroup.Layout) string {
	if l.Version == cgroup.V2 {
		return "2"
	}
	return "1"
}

// machine is the kernel's word for the architecture, which info uses; version
// uses Go's.
func machine() string {
	switch runtime.GOARCH {
	case "amd64":
		return "x86_64"
	case "arm64":
		return "aarch64"
	}
	return runtime.GOARCH
}

func totalMemory() int64 {
	_, rest, _ := strings.Cut(oneLine("/proc/meminfo"), "MemTotal:")
	f := strings.Fields(rest)
	if len(f) == 0 {
		return 0
	}
	kb, err := strconv.ParseInt(f[0], 10, 64)
	if err != nil {
		return 0
	}
	return kb << 10
}

func osName() string {
	for line := range strings.Lines(oneLine("/etc/os-release")) {
		if v, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
			return strings.Trim(strings.TrimSpace(v), `"`)
		}
	}
	return "Linux"
}

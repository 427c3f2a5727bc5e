package engine

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/bundle"
	"github.com/berth-engine/berth/image"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
	"github.com/berth-engine/berth/internal/merged"
	"github.com/berth-engine/berth/runtime/cgroup"
	"github.com/berth-engine/berth/runtime/seccomp"
)

// facts looks up what bundle.Spec must know of this machine for rec, no more
// than its request needs.
func (r *rooms) facts(b *parts, rec *container.Container, img *image.Image) (bundle.Host, error) {
	q := &rec.Request
	h := bundle.Host{
		ID:                rec.ID,
		Rootfs:            filepath.Join(b.dir, "rootfs"),
		CgroupsPath:       cgroupsPath(q, rec.ID),
		Namespaces:        map[specs.LinuxNamespaceType]string{},
		RecursiveReadOnly: kernel.AtLeast(5, 12),
		ThrottleCPUs:      throttleCPUs(),
		Capabilities:      ownBounding(),
	}
	if q.Rootfs != "" {
		h.Rootfs = q.Rootfs
	}
	var err error
	if h.Hostname, err = os.Hostname(); err != nil {
		return h, err
	}
	for _, look := range []func(*bundle.Host, *parts, *container.Container, *image.Image) error{
		r.userFact, r.joinFacts, r.etcFacts, seccompFact, limitFacts, deviceFacts, r.initFact,
	} {
		if err := look(&h, b, rec, img); err != nil {
			return h, err
		}
	}
	return h, nil
}

// cgroupsPath is without a parent of all containers: that would be made with
// the first one and removed with the last in each of eleven hierarchies, which
// takes the kernel as long again as the container's own groups.
func cgroupsPath(q *container.Request, id string) string {
	if q.CgroupParent == "" {
		return "/berth-" + id
	}
	return filepath.Join(q.CgroupParent, id)
}

// throttleCPUs is the number of processors with a directory of heat events.
func throttleCPUs() int {
	const sys = "/sys/devices/system/cpu/"
	if _, err := os.Lstat(sys + "cpu0/thermal_throttle"); err != nil {
		return 0
	}
	found, err := filepath.Glob(sys + "cpu[0-9]*/thermal_throttle")
	if err != nil {
		return 0
	}
	return len(found)
}

// ownBounding is this process's bounding set: a container cannot get more.
var ownBounding = sync.OnceValue(func() []string {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil
	}
	_, rest, ok := strings.Cut(string(data), "CapBnd:\t")
	if !ok {
		return nil
	}
	hex, _, _ := strings.Cut(rest, "\n")
	return capsOf(hex)
})

// capsOf names the bits of a mask as /proc prints it.
func capsOf(hex string) []string {
	var mask uint64
	for _, c := range []byte(hex) {
		d := strings.IndexByte("0123456789abcdef", c)
		if d < 0 {
			return nil
		}
		mask = mask<<4 | uint64(d)
	}
	caps := []string{}
	for n, name := range kernel.Capabilities() {
		if mask>>n&1 != 0 {
			caps = append(caps, name)
		}
	}
	return caps
}

// userFact resolves the user in the files of the container's own root.
func (r *rooms) userFact(h *bundle.Host, b *parts, rec *container.Container, img *image.Image) error {
	t, err := merged.Open(b.rootfs, h.Rootfs)
	if err != nil {
		return err
	}
	defer t.Close()
	passwd, group, err := userFiles(t)
	if err != nil {
		return err
	}
	h.User, err = bundle.LookupUser(passwd, group, bundle.UserSpec(&rec.Request, configOf(img)), rec.Request.GroupAdd)
	return err
}

// ErrUnfit marks the error of an exec as a user, or in a directory, that cannot
// be: docker's exit code for it is that of a program that cannot be executed.
var ErrUnfit = errors.New("unfit process")

// unfit keeps the text of an error and is ErrUnfit as well.
type unfit struct{ error }

func (e unfit) Unwrap() []error { return []error{e.error, ErrUnfit} }

// seccompFact prepares the profile: the default one, or the request's.
func seccompFact(h *bundle.Host, _ *parts, rec *container.Container, _ *image.Image) error {
	q := &rec.Request
	if _, err := os.Lstat("/proc/sys/kernel/seccomp"); err != nil {
		h.NoSeccomp = true
		return nil
	}
	profile := q.Security.Seccomp
	if profile == "unconfined" || (profile == "" && q.Privileged) {
		return nil
	}
	caps, err := bundle.Capabilities(q, *h)
	if err != nil {
		return err
	}
	host := seccomp.Host{Arch: runtime.GOARCH, Caps: caps, Kernel: kernel.Version()}
	if profile == "" {
		h.Seccomp = seccomp.Default(host)
		return nil
	}
	h.Seccomp, err = seccomp.FromDocker([]byte(profile), host)
	return fault.As(fault.Invalid, err)
}

// limitFacts are needed to judge limits only.
func limitFacts(h *bundle.Host, _ *parts, rec *container.Container, _ *image.Image) error {
	res := rec.Request.Resources
	if res.NanoCPUs != 0 {
		h.CPUs = runtime.NumCPU()
	}
	if res.CpusetCPUs != "" {
		h.OnlineCPUs = oneLine("/sys/devices/system/cpu/online")
	}
	if res.CpusetMems != "" {
		h.OnlineMems = oneLine("/sys/devices/system/node/online")
	}
	if res.Memory != 0 || res.MemorySwap != 0 {
		h.NoSwapLimit = !swapLimit()
	}
	return nil
}

func oneLine(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// swapLimit reports whether the memory controller counts swap: v1 shows it by
// a file of the top group, v2 always does on the kernels that we run on.
func swapLimit() bool {
	l, err := cgroup.Detect()
	if err != nil {
		return true
	}
	for _, h := range l.Hierarchies {
		if !h.Unified && slices.Contains(h.Controllers, "memory") {
			_, err := os.Lstat(filepath.Join(h.Mountpoint, "memory.memsw.limit_in_bytes"))
			return err == nil
		}
	}
	return true
}

// initFact gives the container our runtime as its first process: under the
// name berth-init it passes signals on and reaps.
func (r *rooms) initFact(h *bundle.Host, _ *parts, rec *container.Container, _ *image.Image) error {
	if !rec.Request.Init {
		return nil
	}
	var err error
	h.InitPath, err = r.runtime()
	return err
}

package bundle

import (
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/fault"
)

func invalid(format string, args ...any) error { return fault.New(fault.Invalid, format, args...) }

// resources fills the limits; devices has made the struct.
func resources(s *specs.Spec, r *container.Request, _ *ocispec.Image, h Host) error {
	out := s.Linux.Resources
	var err error
	if out.Memory, err = memory(r.Resources, h); err != nil {
		return err
	}
	if out.CPU, err = cpu(r.Resources, h); err != nil {
		return err
	}
	if out.Pids, err = pids(r.Resources); err != nil {
		return err
	}
	if w := r.Resources.BlkioWeight; w != 0 {
		if w < 10 || w > 1000 {
			return invalid("Range of blkio weight is from 10 to 1000")
		}
		out.BlockIO = &specs.LinuxBlockIO{Weight: &w}
	}
	return nil
}

func memory(r container.Resources, h Host) (*specs.LinuxMemory, error) {
	switch {
	case r.Memory < 0 || r.MemoryReservation < 0 || r.MemorySwap < -1:
		return nil, invalid("memory limits can not be negative")
	case r.Memory > 0 && r.Memory < minMemory:
		return nil, invalid("Minimum memory limit allowed is 6MB")
	case r.MemoryReservation > 0 && r.MemoryReservation < minMemory:
		return nil, invalid("Minimum memory reservation allowed is 6MB")
	case r.Memory == 0 && r.MemorySwap > 0:
		return nil, invalid("You should always set the Memory limit when using Memoryswap limit, see usage")
	case r.MemorySwap > 0 && r.MemorySwap < r.Memory:
		return nil, invalid("Minimum memoryswap limit should be larger than memory limit, see usage")
	case r.Memory > 0 && r.MemoryReservation > r.Memory:
		return nil, invalid("Minimum memory limit can not be less than memory reservation limit, see usage")
	case r.MemorySwap > 0 && h.NoSwapLimit:
		return nil, fault.New(fault.Unsupported, "--memory-swap: this kernel cannot limit swap")
	}
	m := new(specs.LinuxMemory)
	if r.Memory > 0 {
		m.Limit = &r.Memory
	}
	if r.MemoryReservation > 0 {
		m.Reservation = &r.MemoryReservation
	}
	if swap := r.SwapTotal(); swap != 0 && !h.NoSwapLimit {
		m.Swap = &swap
	}
	if *m == (specs.LinuxMemory{}) {
		return nil, nil
	}
	return m, nil
}

func cpu(r container.Resources, h Host) (*specs.LinuxCPU, error) {
	period, quota, err := cpuTime(r, h)
	if err != nil {
		return nil, err
	}
	if r.CPUShares < 0 {
		return nil, invalid("invalid CPU shares %d: must not be negative", r.CPUShares)
	}
	if err := checkSet("--cpuset-cpus", "CPUs", r.CpusetCPUs, h.OnlineCPUs); err != nil {
		return nil, err
	}
	if err := checkSet("--cpuset-mems", "memory nodes", r.CpusetMems, h.OnlineMems); err != nil {
		return nil, err
	}
	c := &specs.LinuxCPU{Cpus: r.CpusetCPUs, Mems: r.CpusetMems}
	if r.CPUShares > 0 {
		shares := uint64(min(max(r.CPUShares, 2), 262144)) // what the kernel would make of it
		c.Shares = &shares
	}
	if period > 0 {
		p := uint64(period)
		c.Period = &p
	}
	if quota != 0 {
		c.Quota = &quota
	}
	if c.Cpus == "" && c.Mems == "" && c.Shares == nil && c.Period == nil && c.Quota == nil {
		return nil, nil
	}
	return c, nil
}

func cpuTime(r container.Resources, h Host) (period, quota int64, err error) {
	switch {
	case r.NanoCPUs != 0 && r.CPUPeriod != 0:
		err = invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set")
	case r.NanoCPUs != 0 && r.CPUQuota != 0:
		err = invalid("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
	case r.NanoCPUs < 0 || r.NanoCPUs > 0 && r.NanoCPUs < 10_000_000 || h.CPUs > 0 && r.NanoCPUs > int64(h.CPUs)*1e9:
		err = invalid("range of CPUs is from 0.01 to %d.00, as there are only %d CPUs available", h.CPUs, h.CPUs)
	case r.CPUPeriod != 0 && (r.CPUPeriod < 1000 || r.CPUPeriod > 1_000_000):
		err = invalid("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
	case r.CPUQuota > 0 && r.CPUQuota < 1000 || r.CPUQuota < -1:
		err = invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)")
	}
	if err != nil || r.NanoCPUs == 0 {
		return r.CPUPeriod, r.CPUQuota, err
	}
	return cpuPeriod, r.NanoCPUs / (1e9 / cpuPeriod), nil
}

// checkSet refuses lists that are malformed, huge, or not there.
func checkSet(flag, what, want, online string) error {
	if want == "" {
		return nil
	}
	w, err := container.ParseCPUSet(want)
	if err != nil {
		return invalid("Invalid value %s for %s: %w", want, strings.TrimPrefix(flag, "--"), err)
	}
	if online == "" {
		return nil
	}
	have, err := container.ParseCPUSet(online)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(w, func(n int) bool { return !slices.Contains(have, n) }) {
		return invalid("Requested %s are not available - requested %s, available: %s", what, want, online)
	}
	return nil
}

func pids(r container.Resources) (*specs.LinuxPids, error) {
	limit := r.PidsLimit
	switch {
	case limit < -1:
		return nil, invalid("invalid pids limit %d: use -1 for no limit", limit)
	case limit == 0:
		limit = defaultPids
	}
	return &specs.LinuxPids{Limit: &limit}, nil
}

// rlimits: the host's defaults, overridden by name.
func rlimits(s *specs.Spec, r *container.Request, _ *ocispec.Image, h Host) error {
	list := slices.Clone(h.Rlimits)
	for _, u := range r.Ulimits {
		if err := u.Check(); err != nil {
			return err
		}
		l := specs.POSIXRlimit{Type: "RLIMIT_" + strings.ToUpper(u.Name), Soft: uint64(u.Soft), Hard: uint64(u.Hard)}
		if i := slices.IndexFunc(list, func(have specs.POSIXRlimit) bool { return have.Type == l.Type }); i >= 0 {
			list[i] = l
			continue
		}
		list = append(list, l)
	}
	s.Process.Rlimits = list
	return nil
}

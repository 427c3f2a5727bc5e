package plan

import (
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
)

// schedSteps set how the payload is run: personality and memory policy are
// the container's, the rest is the process's. They need rights that the
// payload may not have, and come after its groups.
func schedSteps(p *specs.Process, domain *specs.LinuxPersonality, memory *specs.LinuxMemoryPolicy) ([]Step, error) {
	var steps []Step
	if domain != nil {
		s, err := personalityStep(domain)
		if err != nil {
			return nil, err
		}
		steps = append(steps, s)
	}
	if memory != nil {
		s, err := memoryStep(memory)
		if err != nil {
			return nil, err
		}
		steps = append(steps, s)
	}
	if p.IOPriority != nil {
		s, err := ioPriorityStep(p.IOPriority)
		if err != nil {
			return nil, err
		}
		steps = append(steps, s)
	}
	if p.Scheduler != nil {
		s, err := schedulerStep(p.Scheduler)
		if err != nil {
			return nil, err
		}
		steps = append(steps, s)
	}
	return steps, nil
}

func personalityStep(d *specs.LinuxPersonality) (Step, error) {
	if len(d.Flags) > 0 {
		return nil, fault.New(fault.Invalid, "linux.personality.flags[0]: unknown flag %q; the specification has none", d.Flags[0])
	}
	switch d.Domain {
	case specs.PerLinux:
		return Personality{"LINUX", 0}, nil
	case specs.PerLinux32:
		return Personality{"LINUX32", 8}, nil // linux/personality.h
	}
	return nil, fault.New(fault.Invalid, "linux.personality.domain: unknown domain %q; LINUX and LINUX32 are known", d.Domain)
}

// maxNodes and maxCPUs bound lists: more than any kernel is built for.
const (
	maxNodes = 1024
	maxCPUs  = 8192
)

func memoryStep(m *specs.LinuxMemoryPolicy) (Step, error) {
	mode, ok := memoryMode(m.Mode)
	if !ok {
		return nil, fault.New(fault.Invalid, "linux.memoryPolicy.mode: invalid memory policy mode %q", m.Mode)
	}
	words := string(m.Mode)
	for i, name := range m.Flags {
		flag, ok := memoryFlag(name)
		if !ok {
			return nil, fault.New(fault.Invalid, "linux.memoryPolicy.flags[%d]: invalid memory policy flag %q", i, name)
		}
		mode |= flag
		words += "|" + string(name)
	}
	mask, n, err := parseList(m.Nodes, maxNodes)
	if err != nil {
		return nil, fault.New(fault.Invalid, "linux.memoryPolicy.nodes: invalid memory policy node: %w", err)
	}
	if err := checkNodes(m, mode, n); err != nil {
		return nil, err
	}
	if n > 0 {
		words += " " + m.Nodes
	}
	return MemoryPolicy{words, mode, mask}, nil
}

// checkNodes knows what set_mempolicy(2) would answer with EINVAL.
func checkNodes(m *specs.LinuxMemoryPolicy, mode uint64, n int) error {
	const static, relative, balancing = unix.MPOL_F_STATIC_NODES, unix.MPOL_F_RELATIVE_NODES, unix.MPOL_F_NUMA_BALANCING
	plain := mode &^ (static | relative | balancing)
	switch {
	case (plain == unix.MPOL_DEFAULT || plain == unix.MPOL_LOCAL) && n > 0:
		return fault.New(fault.Invalid, "linux.memoryPolicy.nodes: %s mode requires 0 nodes but got %d", m.Mode, n)
	case (plain == unix.MPOL_DEFAULT || plain == unix.MPOL_LOCAL) && mode != plain:
		return fault.New(fault.Invalid, "linux.memoryPolicy.flags: %s takes none", m.Mode)
	case plain == unix.MPOL_PREFERRED && n == 0 && mode == plain, plain == unix.MPOL_DEFAULT, plain == unix.MPOL_LOCAL:
		return nil
	case n == 0:
		return fault.New(fault.Invalid, "linux.memoryPolicy.nodes: %s mode requires at least 1 node but got 0", m.Mode)
	case mode&static != 0 && mode&relative != 0:
		return fault.New(fault.Invalid, "linux.memoryPolicy.flags: MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude each other")
	case mode&balancing != 0 && plain != unix.MPOL_BIND && plain != unix.MPOL_PREFERRED_MANY:
		return fault.New(fault.Invalid, "linux.memoryPolicy.flags: MPOL_F_NUMA_BALANCING is for MPOL_BIND and MPOL_PREFERRED_MANY")
	}
	return nil
}

func memoryMode(m specs.MemoryPolicyModeType) (uint64, bool) {
	switch m {
	case specs.MpolDefault:
		return unix.MPOL_DEFAULT, true
	case specs.MpolPreferred:
		return unix.MPOL_PREFERRED, true
	case specs.MpolBind:
		return unix.MPOL_BIND, true
	case specs.MpolInterleave:
		return unix.MPOL_INTERLEAVE, true
	case specs.MpolLocal:
		return unix.MPOL_LOCAL, true
	case specs.MpolPreferredMany:
		return unix.MPOL_PREFERRED_MANY, true
	case specs.MpolWeightedInterleave:
		return unix.MPOL_WEIGHTED_INTERLEAVE, true
	}
	return 0, false
}

func memoryFlag(f specs.MemoryPolicyFlagType) (uint64, bool) {
	switch f {
	case specs.MpolFNumaBalancing:
		return unix.MPOL_F_NUMA_BALANCING, true
	case specs.MpolFRelativeNodes:
		return unix.MPOL_F_RELATIVE_NODES, true
	case specs.MpolFStaticNodes:
		return unix.MPOL_F_STATIC_NODES, true
	}
	return 0, false
}

func ioPriorityStep(p *specs.LinuxIOPriority) (Step, error) {
	var class uint64
	switch p.Class {
	case specs.IOPRIO_CLASS_RT:
		class = 1
	case specs.IOPRIO_CLASS_BE:
		class = 2
	case specs.IOPRIO_CLASS_IDLE:
		class = 3
	default:
		return nil, fault.New(fault.Invalid, "process.ioPriority.class: unknown class %q", p.Class)
	}
	if p.Priority < 0 || p.Priority > 7 {
		return nil, fault.New(fault.Invalid, "process.ioPriority.priority: %d is not between 0 and 7", p.Priority)
	}
	return IOPriority{string(p.Class), class, uint64(p.Priority)}, nil
}

func schedulerStep(s *specs.Scheduler) (Step, error) {
	step := SchedulerPolicy{
		Name: string(s.Policy), Nice: s.Nice, Priority: uint32(s.Priority),
		Runtime: s.Runtime, Deadline: s.Deadline, Period: s.Period,
	}
	var ok bool
	if step.Policy, ok = schedulerPolicy(s.Policy); !ok {
		return nil, fault.New(fault.Invalid, "process.scheduler.policy: unknown policy %q", s.Policy)
	}
	for i, name := range s.Flags {
		flag, ok := schedulerFlag(name)
		if !ok {
			return nil, fault.New(fault.Invalid, "process.scheduler.flags[%d]: unknown flag %q", i, name)
		}
		step.Flags |= flag
	}
	return step, checkScheduler(s)
}

func checkScheduler(s *specs.Scheduler) error {
	realtime := s.Policy == specs.SchedFIFO || s.Policy == specs.SchedRR
	switch {
	case s.Nice < -20 || s.Nice > 19:
		return fault.New(fault.Invalid, "process.scheduler.nice: %d is not between -20 and 19", s.Nice)
	case s.Priority != 0 && !realtime:
		return fault.New(fault.Invalid, "process.scheduler.priority: is for SCHED_FIFO and SCHED_RR")
	case realtime && (s.Priority < 1 || s.Priority > 99):
		return fault.New(fault.Invalid, "process.scheduler.priority: %d is not between 1 and 99, as %s needs", s.Priority, s.Policy)
	case s.Policy != specs.SchedDeadline && s.Runtime|s.Deadline|s.Period != 0:
		return fault.New(fault.Invalid, "process.scheduler: runtime, deadline and period are for SCHED_DEADLINE")
	}
	return nil
}

func schedulerPolicy(p specs.LinuxSchedulerPolicy) (uint32, bool) {
	switch p {
	case specs.SchedOther:
		return unix.SCHED_NORMAL, true
	case specs.SchedFIFO:
		return unix.SCHED_FIFO, true
	case specs.SchedRR:
		return unix.SCHED_RR, true
	case specs.SchedBatch:
		return unix.SCHED_BATCH, true
	case specs.SchedIdle:
		return unix.SCHED_IDLE, true
	case specs.SchedDeadline:
		return unix.SCHED_DEADLINE, true
	}
	return 0, false // SCHED_ISO: Linux has a number for it, and nothing else
}

func schedulerFlag(f specs.LinuxSchedulerFlag) (uint64, bool) {
	switch f {
	case specs.SchedFlagResetOnFork:
		return unix.SCHED_FLAG_RESET_ON_FORK, true
	case specs.SchedFlagReclaim:
		return unix.SCHED_FLAG_RECLAIM, true
	case specs.SchedFlagDLOverrun:
		return unix.SCHED_FLAG_DL_OVERRUN, true
	case specs.SchedFlagKeepPolicy:
		return unix.SCHED_FLAG_KEEP_POLICY, true
	case specs.SchedFlagKeepParams:
		return unix.SCHED_FLAG_KEEP_PARAMS, true
	case specs.SchedFlagUtilClampMin:
		return unix.SCHED_FLAG_UTIL_CLAMP_MIN, true
	case specs.SchedFlagUtilClampMax:
		return unix.SCHED_FLAG_UTIL_CLAMP_MAX, true
	}
	return 0, false
}

// affinity is the step for a list of processors.
func affinity(at, cpus string) (Step, error) {
	mask, n, err := parseList(cpus, maxCPUs)
	if err == nil && n == 0 {
		err = fault.New(fault.Invalid, "names no processor")
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "%s: %w", at, err)
	}
	return Affinity{cpus, mask}, nil
}

// parseList reads "0-3,7" into a bit mask of whole 64-bit words, and counts.
func parseList(list string, limit uint64) (mask []byte, n int, err error) {
	if strings.TrimSpace(list) == "" {
		return nil, 0, nil
	}
	for _, part := range strings.Split(list, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			to = from
		}
		first, err1 := strconv.ParseUint(from, 10, 32)
		last, err2 := strconv.ParseUint(to, 10, 32)
		if err1 != nil || err2 != nil || last < first || last >= limit {
			return nil, 0, fault.New(fault.Invalid, "%q is no number or range below %d", part, limit)
		}
		for ; first <= last; first++ {
			for uint64(len(mask)*8) <= first {
				mask = append(mask, make([]byte, 8)...)
			}
			if bit := byte(1) << (first % 8); mask[first/8]&bit == 0 {
				mask[first/8] |= bit
				n++
			}
		}
	}
	return mask, n, nil
}

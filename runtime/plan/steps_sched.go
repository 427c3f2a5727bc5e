package plan

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// Affinity sets the processors that the payload may run on.
type Affinity struct {
	CPUs string // in words; empty: all that the cgroup has
	Mask []byte
}

func (s Affinity) String() string {
	if s.CPUs == "" {
		return "run on every processor of the cgroup"
	}
	return "run on processors " + s.CPUs
}

// Calls implements Step. The kernel cuts the mask down to the cpuset. That
// nothing is asked for and nothing can be set is no error.
func (s Affinity) Calls(cs []Call) []Call {
	show := s.CPUs
	if show == "" {
		show = "all"
	}
	c := call(unix.SYS_SCHED_SETAFFINITY, "sched_setaffinity", num(0), num(uint64(len(s.Mask))), blob(s.Mask, "{"+show+"}"))
	if s.CPUs == "" {
		c = c.ok(unix.EPERM, unix.ENOSYS, unix.EINVAL)
	}
	return append(cs, c)
}

// everyCPU is a mask of 1024 processors.
func everyCPU() []byte {
	mask := make([]byte, 128)
	for i := range mask {
		mask[i] = 0xff
	}
	return mask
}

// SchedulerPolicy sets how the payload is scheduled; sched_setattr(2).
type SchedulerPolicy struct {
	Name                      string
	Policy                    uint32
	Flags                     uint64
	Nice                      int32
	Priority                  uint32
	Runtime, Deadline, Period uint64 // nanoseconds
}

func (s SchedulerPolicy) String() string {
	words := "scheduler " + s.Name
	if s.Nice != 0 {
		words += fmt.Sprintf(" nice %d", s.Nice)
	}
	if s.Priority != 0 {
		words += fmt.Sprintf(" priority %d", s.Priority)
	}
	if s.Period != 0 {
		words += fmt.Sprintf(" %d of %d ns", s.Runtime, s.Period)
	}
	return words
}

// Calls implements Step.
func (s SchedulerPolicy) Calls(cs []Call) []Call {
	b := make([]byte, 48) // struct sched_attr, first version
	e := binary.NativeEndian
	e.PutUint32(b, 48)
	e.PutUint32(b[4:], s.Policy)
	e.PutUint64(b[8:], s.Flags)
	e.PutUint32(b[16:], uint32(s.Nice))
	e.PutUint32(b[20:], s.Priority)
	e.PutUint64(b[24:], s.Runtime)
	e.PutUint64(b[32:], s.Deadline)
	e.PutUint64(b[40:], s.Period)
	return append(cs, call(unix.SYS_SCHED_SETATTR, "sched_setattr", num(0), blob(b, "{"+s.String()+"}"), num(0)))
}

// IOPriority sets class and level of the payload's input and output.
type IOPriority struct {
	Name  string
	Class uint64
	Level uint64
}

func (s IOPriority) String() string { return fmt.Sprintf("io priority %s %d", s.Name, s.Level) }

// Calls implements Step; see ioprio_set(2).
func (s IOPriority) Calls(cs []Call) []Call {
	const process, classShift = 1, 13
	return append(cs, call(unix.SYS_IOPRIO_SET, "ioprio_set", flags(process, "IOPRIO_WHO_PROCESS"), num(0),
		flags(s.Class<<classShift|s.Level, fmt.Sprintf("%s|%d", s.Name, s.Level))))
}

// MemoryPolicy sets from which nodes the payload gets its memory.
type MemoryPolicy struct {
	Words string
	Mode  uint64 // MPOL_ mode and flags
	Mask  []byte // nodes; empty for none
}

func (s MemoryPolicy) String() string { return "memory policy " + s.Words }

// Calls implements Step; see set_mempolicy(2). The kernel reads one bit less
// than it is told.
func (s MemoryPolicy) Calls(cs []Call) []Call {
	mask, bits := null(), uint64(0)
	if len(s.Mask) > 0 {
		mask, bits = blob(s.Mask, "nodes"), uint64(len(s.Mask)*8+1)
	}
	return append(cs, call(unix.SYS_SET_MEMPOLICY, "set_mempolicy", flags(s.Mode, s.Words), mask, num(bits)))
}

// Personality sets the execution domain.
type Personality struct {
	Name   string
	Domain uint64
}

func (s Personality) String() string { return "personality " + s.Name }

// Calls implements Step.
func (s Personality) Calls(cs []Call) []Call {
	return append(cs, call(unix.SYS_PERSONALITY, "personality", flags(s.Domain, "PER_"+s.Name)))
}

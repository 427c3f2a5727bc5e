package main

import (
	"fmt"
	goruntime "runtime"
	"strconv"
	"time"

	"github.com/berth-engine/berth/runtime/seccomp"
	"github.com/berth-engine/berth/test/libseccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// manyCalls is how often a call is made in one turn. Turns are short and many,
// so that what else the machine does hits all alike.
const manyCalls = 50_000

// A filtered call is one whose cost under a filter is measured.
type filteredCall struct {
	what string
	call libseccomp.Call
	// awake keeps the kernel from skipping the filter. It does that where it
	// found out that a call is allowed whatever its arguments are.
	awake bool
	// asleep says that the kernel skips all filters, so that they cost the same.
	asleep bool
}

var filteredCalls = []filteredCall{
	{what: "getppid", call: libseccomp.Call{Nr: unix.SYS_GETPPID}, asleep: true},
	{what: "getppid, the filter always run", call: libseccomp.Call{Nr: unix.SYS_GETPPID}, awake: true},
	{what: "ioctl, whose arguments are looked at", call: libseccomp.Call{Nr: unix.SYS_IOCTL, Args: [6]uint64{1 << 20, unix.TCGETS}}},
	{what: "keyctl, which is refused", call: libseccomp.Call{Nr: unix.SYS_KEYCTL}},
}

// measureSeccomp compares the filters that we and libseccomp make of the same
// profile by what system calls cost under them.
func measureSeccomp(b *bench) ([]result, error) {
	kernel, err := libseccomp.NewKernel(b.Dir)
	if err != nil {
		return nil, err
	}
	filters, err := b.filters()
	if err != nil {
		return nil, err
	}
	var out []result
	for _, c := range filteredCalls {
		absent := make(map[string]string)
		t := b.filterTimes(filters, absent, func(prog []unix.SockFilter) (time.Duration, error) {
			return kernel.Time(c.wake(prog), []libseccomp.Call{c.call}, manyCalls)
		})
		what := fmt.Sprintf("%d × %s", manyCalls, c.what)
		out = append(out, compare(what, "berth", t, absent, c.goals())...)
	}
	absent := make(map[string]string)
	t := b.filterTimes(filters, absent, kernel.Install)
	out = append(out, compare("installed by the kernel", "berth", t, absent, []goal{{"libseccomp", 1, "≤ libseccomp's filter"}})...)
	cold, err := b.coldCompile()
	return append(out, cold), err
}

// coldCompile measures what a container's start pays for its filter.
func (b *bench) coldCompile() (result, error) {
	const most = time.Millisecond
	r := result{what: "compiled in a new process", goal: "≤ " + show(most)}
	exe := b.path("coldseccomp")
	if err := goBuild(exe, "coldseccomp"); err != nil {
		return r, err
	}
	var took []time.Duration
	for range b.Rounds * 4 {
		text, err := command{exe}.output()
		if err != nil {
			return r, err
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return r, err
		}
		took = append(took, time.Duration(n))
	}
	m := median(took)
	r.ours, r.met = show(m), yes(m <= most)
	return r, nil
}

func (c filteredCall) goals() []goal {
	if c.asleep {
		return []goal{{"libseccomp", 0, "the same: Linux skips both filters"}, {"no filter", 0, "(for comparison)"}}
	}
	return []goal{{"libseccomp", 1, "≤ libseccomp's filter"}, {"libseccomp's tree", 0, "(for comparison)"}}
}

// A filter is what one side makes of the profile.
type filter struct {
	name string
	prog []unix.SockFilter
}

func (b *bench) filters() ([]filter, error) {
	p := seccomp.Default(seccomp.Host{Arch: goruntime.GOARCH, Kernel: [2]int{5, 10}})
	ours, err := seccomp.Compile(p, goruntime.GOARCH)
	if err != nil {
		return nil, err
	}
	berth := filter{name: "berth"}
	for _, in := range ours.Prog {
		berth.prog = append(berth.prog, unix.SockFilter(in))
	}
	library, err := libseccomp.New(b.Dir)
	if err != nil {
		return nil, err
	}
	plain, err := peerFilter(library, "libseccomp", p, libseccomp.Options{})
	if err != nil {
		return nil, err
	}
	tree, err := peerFilter(library, "libseccomp's tree", p, libseccomp.Options{Tree: true})
	return []filter{berth, plain, tree, {name: "no filter"}}, err
}

func peerFilter(l *libseccomp.Library, name string, p *specs.LinuxSeccomp, o libseccomp.Options) (filter, error) {
	prog, _, err := l.Filter(p, o)
	return filter{name, prog}, err
}

// filterTimes lets the filters take turns. They are timed from within: to start
// a process is no part of it.
func (b *bench) filterTimes(filters []filter, absent map[string]string, once func(prog []unix.SockFilter) (time.Duration, error)) times {
	t := make(times)
	for turn := range b.Rounds * 8 {
		for i := range filters {
			f := filters[(i+turn)%len(filters)]
			d, err := once(f.prog)
			if err != nil {
				warn(err)
				absent[f.name] = f.name + ": " + firstLine(err.Error())
				continue
			}
			t[f.name] = append(t[f.name], d)
		}
	}
	return t
}

// wake puts a load of the instruction pointer in front of a filter. The kernel
// no longer knows beforehand what the rest will say.
func (c filteredCall) wake(prog []unix.SockFilter) []unix.SockFilter {
	const offIP = 8
	if !c.awake || len(prog) == 0 {
		return prog
	}
	load := unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offIP}
	return append([]unix.SockFilter{load}, prog...)
}

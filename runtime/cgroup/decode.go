package cgroup

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
)

func (g *group) Devices() ([]Rule, error) {
	const op = "cgroup.devices"
	if t := g.find("devices"); t != nil {
		d := g.dir(t.path)
		defer d.close()
		text, err := d.read("devices.list")
		if err != nil {
			return nil, fault.Op(op, t.path, err)
		}
		rules, err := parseDeviceList(text)
		return rules, fault.Op(op, t.path, err)
	}
	t := g.unified()
	if t == nil {
		return nil, nil
	}
	progs, err := g.programs(t)
	if err != nil {
		return nil, fault.Op(op, t.path, err)
	}
	rules, err := decode(progs)
	return rules, fault.Op(op, t.path, err)
}

// parseDeviceList reads devices.list of v1: what is allowed, or "a *:* rwm"
// for everything. (What is then denied nevertheless the kernel does not tell.)
func parseDeviceList(text string) ([]Rule, error) {
	rules := []Rule{denyAll()}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 3 || len(f[0]) != 1 {
			return nil, fault.New(fault.Damaged, "devices.list: %q", line)
		}
		major, minor, _ := strings.Cut(f[1], ":")
		r := Rule{Allow: true, Type: f[0][0], Major: -1, Minor: -1}
		var err error
		if r.Access, err = parseAccess(f[2]); err != nil {
			return nil, fault.Op("devices.list", "", err)
		}
		for _, n := range []struct {
			text string
			to   *int64
		}{{major, &r.Major}, {minor, &r.Minor}} {
			if n.text == "*" {
				continue
			}
			v, err := strconv.ParseUint(n.text, 10, 32)
			if err != nil {
				return nil, fault.Op("devices.list", "", err)
			}
			*n.to = int64(v)
		}
		rules = append(rules, r)
	}
	return effective(rules), nil
}

func denyAll() Rule { return Rule{Type: 'a', Major: -1, Minor: -1, Access: allAccess} }

func allowAll() Rule {
	r := denyAll()
	r.Allow = true
	return r
}

// programs reads the filters of a unified directory back from the kernel, as
// its verifier has rewritten them.
func (g *group) programs(t *tree) ([][]insn, error) {
	d := g.dir(t.path)
	defer d.close()
	target, err := d.open(".", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(target)
	fds, err := attached(target)
	if err != nil {
		return nil, err
	}
	defer closeAll(fds)
	var progs [][]insn
	for _, fd := range fds {
		prog, err := translated(fd)
		if err != nil {
			return nil, err
		}
		progs = append(progs, prog)
	}
	return progs, nil
}

// decode says as rules what programs that must all agree allow. It does not
// look for the shape of our own programs but asks the programs, so it reads
// those of other runtimes and of systemd, too.
//
// That takes few questions: such a program compares the numbers of the device
// with constants and nothing else. For each number it is enough to ask for
// every constant that it is compared with, and for one other. If a program
// does anything else with them, decode refuses.
func decode(progs [][]insn) ([]Rule, error) {
	if len(progs) == 0 {
		return []Rule{allowAll()}, nil
	}
	known := [2]map[uint32]bool{{}, {}}
	for {
		before := len(known[0]) + len(known[1])
		if before > maxConstants {
			return nil, fault.New(fault.TooLarge, "a device filter that knows more than %d numbers", maxConstants)
		}
		q := questions{progs: progs, known: known}
		rules, err := q.rules()
		if err != nil {
			return nil, err
		}
		if len(known[0])+len(known[1]) == before { // nothing new was compared
			return rules, nil
		}
	}
}

// maxConstants bounds the questions: their number is the square of it.
const maxConstants = 1000

// questions asks programs about devices. known grows while it does.
type questions struct {
	progs [][]insn
	known [2]map[uint32]bool // of major and minor numbers
	err   error
}

// rules gives the rules that say the same: what holds for all, then for
// whole majors, for one minor of every major, and for single devices.
func (q *questions) rules() ([]Rule, error) {
	majors, minors := slices.Sorted(maps.Keys(q.known[0])), slices.Sorted(maps.Keys(q.known[1]))
	rules := []Rule{denyAll()}
	everything := true
	for _, kind := range []byte{'b', 'c'} {
		set := func(major, minor int64) Access { return q.ask(kind, q.number(0, major), q.number(1, minor)) }
		put := func(major, minor int64, was Access) Access {
			is := set(major, minor)
			add := func(allow bool, a Access) {
				rules = append(rules, Rule{Allow: allow, Type: kind, Major: major, Minor: minor, Access: a})
			}
			if is&^was != 0 {
				add(true, is)
			}
			if was&^is != 0 {
				add(false, was&^is)
			}
			return is
		}
		base := put(-1, -1, 0)
		everything = everything && base == allAccess
		rows := make(map[uint32]Access, len(majors))
		for _, major := range majors {
			rows[major] = put(int64(major), -1, base)
		}
		for _, minor := range minors {
			column := put(-1, int64(minor), base)
			for _, major := range majors {
				said := rows[major] // and after it the column's rules
				if column&^base != 0 {
					said |= column
				}
				put(int64(major), int64(minor), said&^(base&^column))
			}
		}
		if q.err != nil {
			return nil, q.err
		}
	}
	if everything && len(rules) == 3 {
		return []Rule{allowAll()}, nil
	}
	return rules, nil
}

// number is what to ask for: v itself, or for -1 one that is compared with
// nothing.
func (q *questions) number(which int, v int64) uint32 {
	if v >= 0 {
		return uint32(v)
	}
	other := uint32(math.MaxUint32 - 1)
	for q.known[which][other] {
		other--
	}
	return other
}

// ask returns which accesses to a device all programs allow. Accesses of
// several parts must be allowed as their parts are, or there are no rules
// that say so.
func (q *questions) ask(kind byte, major, minor uint32) (set Access) {
	ctx := [3]uint32{deviceC, major, minor}
	if kind == 'b' {
		ctx[0] = deviceB
	}
	for _, want := range [...]Access{Mknod, Read, Write, Mknod | Read, Mknod | Write, Read | Write, allAccess} {
		ctx[0] = ctx[0]&0xffff | uint32(want)<<16
		yes := q.all(ctx)
		switch {
		case want&(want-1) == 0: // one part
			if yes {
				set |= want
			}
		case yes != (want&^set == 0) && q.err == nil:
			q.err = fault.New(fault.Unsupported, "the device filter treats an access unlike its parts; rules cannot say that")
		}
	}
	return set
}

// all reports whether every program says yes.
func (q *questions) all(ctx [3]uint32) bool {
	yes := true
	for _, prog := range q.progs {
		ok, err := interpret(prog, ctx, q.known)
		if err != nil && q.err == nil {
			q.err = err
		}
		yes = yes && ok
	}
	return yes
}

// translated reads a program's instructions: BPF_OBJ_GET_INFO_BY_FD with
// struct bpf_prog_info.
func translated(fd int) ([]insn, error) {
	const (
		info   = dataOffset
		code   = info + infoSize
		length = 20 // offset of xlated_prog_len, and of xlated_prog_insns
		insns  = 32
	)
	for room := 512; ; {
		a, err := newArea(infoSize + room*insnSize)
		if err != nil {
			return nil, err
		}
		a.u32(0, uint32(fd))
		a.u32(4, infoSize)
		a.pointer(8, info)
		a.u32(info+length, uint32(room*insnSize))
		a.pointer(info+insns, code)
		_, err = a.call(objInfo)
		got := int(binary.NativeEndian.Uint32(a[info+length:])) / insnSize
		readable := binary.NativeEndian.Uint64(a[info+insns:]) != 0
		var prog []insn
		if err == nil && readable && got <= room {
			prog = parseInsns(a[code : code+got*insnSize])
		}
		a.free()
		switch {
		case err != nil:
			return nil, fault.Op("read", "", err)
		case got == 0 || !readable:
			return nil, fault.New(fault.Denied, "the kernel does not show the device filter")
		case got <= room:
			return prog, nil
		case got > maxInsns:
			return nil, fault.New(fault.TooLarge, "a device filter of %d instructions", got)
		}
		room = got
	}
}

// maxInsns is ours; a filter for a hundred devices has a thousand.
const maxInsns = 1 << 16

// parseInsns splits struct bpf_insn's.
func parseInsns(b []byte) []insn {
	var prog []insn
	for ; len(b) >= insnSize; b = b[insnSize:] {
		prog = append(prog, insn{
			code: b[0], dst: b[1] & 15, src: b[1] >> 4,
			off: int16(binary.NativeEndian.Uint16(b[2:])), imm: int32(binary.NativeEndian.Uint32(b[4:])),
		})
	}
	return prog
}

package cgroup

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/internal/fault"
)

// text is rules as devices.allow and devices.deny would take them.
func text(rules []Rule) string {
	var b strings.Builder
	for _, r := range rules {
		b.WriteString(map[bool]string{true: "allow ", false: "deny "}[r.Allow] + r.String() + "\n")
	}
	return b.String()
}

func TestDecode(t *testing.T) {
	list := func(l ...specs.LinuxDeviceCgroup) []specs.LinuxDeviceCgroup { return l }
	usual := `allow c *:* m
allow c 1:3 rwm
allow c 1:5 rwm
allow c 1:7 rwm
allow c 1:8 rwm
allow c 1:9 rwm
allow c 5:0 rwm
allow c 5:2 rwm
allow c 136:* rwm
`
	all := specs.LinuxDeviceCgroup{Allow: true, Access: "rwm"}
	for _, tt := range []struct {
		name string
		list []specs.LinuxDeviceCgroup
		want string
	}{
		{"the usual", nil, "deny a\nallow b *:* m\n" + usual},
		{"a disk to read", list(specs.LinuxDeviceCgroup{Allow: true, Type: "b", Major: ptr(int64(8)), Access: "r"}), "deny a\nallow b *:* m\nallow b 8:* rm\n" + usual},
		{"privileged", list(all), "allow a\n"},
		{
			"all disks but one", list(specs.LinuxDeviceCgroup{Allow: true, Type: "b", Access: "rw"}, specs.LinuxDeviceCgroup{Type: "b", Major: ptr(int64(8)), Minor: ptr(int64(1)), Access: "w"}),
			"deny a\nallow b *:* rwm\ndeny b 8:1 w\n" + usual,
		},
		{"one minor of every major", list(specs.LinuxDeviceCgroup{Allow: true, Type: "b", Minor: ptr(int64(7)), Access: "r"}), "deny a\nallow b *:* m\nallow b *:7 rm\n" + usual},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rules, err := DeviceRules(tt.list)
			if err != nil {
				t.Fatal(err)
			}
			got, err := decode([][]insn{filter(rules)})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(sorted(tt.want), sorted(text(got))); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// sorted lets the tables above list devices in any order; what the rules mean
// TestDecodeAgrees asks.
func sorted(s string) map[string]bool {
	out := map[string]bool{}
	for line := range strings.Lines(s) {
		out[line] = true
	}
	return out
}

func randomRules(rnd *rand.Rand) []Rule {
	number := func() int64 { return []int64{-1, 0, 1, 4294967295}[rnd.IntN(4)] }
	var rules []Rule
	for range 1 + rnd.IntN(8) {
		rules = append(rules, Rule{
			Allow: rnd.IntN(2) == 0, Type: "abc"[rnd.IntN(3)], Major: number(), Minor: number(), Access: Access(1 + rnd.IntN(7)),
		})
	}
	return rules
}

// differ asks two lists everything; "" if they say the same.
func differ(t *testing.T, want func(access) bool, got []Rule) {
	t.Helper()
	for _, char := range []bool{false, true} {
		for _, major := range []uint32{0, 1, 77, 4294967295} {
			for _, minor := range []uint32{0, 1, 77, 4294967295} {
				for a := Access(1); a <= allAccess; a++ {
					q := access{char, major, minor, a}
					if allowed(got, q) != want(q) {
						t.Fatalf("%+v: rules say %v:\n%s", q, !want(q), text(got))
					}
				}
			}
		}
	}
}

func TestDecodeAgrees(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		one, two := randomRules(rnd), randomRules(rnd)
		got, err := decode([][]insn{filter(one), filter(two)})
		if err != nil {
			t.Fatal(err)
		}
		differ(t, func(q access) bool { return allowed(one, q) && allowed(two, q) }, got)
	}
}

// TestDecodeForReal reads back what the kernel's verifier has left of random
// programs.
func TestDecodeForReal(t *testing.T) {
	g := newGroup(t)
	if g.unified() == nil {
		t.Skip("no unified tree")
	}
	onlyUnified(g)
	create(t, g, nil)
	rnd := rand.New(rand.NewPCG(5, 6))
	for range 40 {
		rules := randomRules(rnd)
		d := g.dir(g.trees[0].path)
		err := g.confine(rules, d)
		d.close()
		if err != nil {
			t.Fatal(err)
		}
		got, err := g.Devices()
		if err != nil {
			t.Fatal(err, "\n", text(rules))
		}
		differ(t, func(q access) bool { return allowed(rules, q) }, got)
	}
}

func TestDevicesV1(t *testing.T) {
	g := newGroup(t)
	needs(t, g, "devices")
	rule := specs.LinuxDeviceCgroup{Allow: true, Type: "b", Major: ptr(int64(8)), Access: "r"}
	create(t, g, &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{rule}})
	got, err := g.Devices()
	if err != nil || !strings.Contains(text(got), "allow b 8:* r\n") || !strings.Contains(text(got), "allow c 1:3 rwm\n") || !strings.HasPrefix(text(got), "deny a\n") {
		t.Errorf("%v\n%s", err, text(got))
	}
	if err := g.Apply(&specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}}); err != nil {
		t.Fatal(err)
	}
	if got, err := g.Devices(); err != nil || text(got) != "allow a\n" {
		t.Errorf("%v\n%s", err, text(got))
	}
}

func TestDecodeRefuses(t *testing.T) {
	end := verdict(true)
	for name, tt := range map[string]struct {
		prog []insn
		kind fault.Kind
	}{
		"no end":              {nil, fault.Unsupported},
		"a loop":              {[]insn{{code: jmp, off: -1}}, fault.Unsupported},
		"a call":              {append([]insn{{code: 0x85}}, end...), fault.Unsupported},
		"an order of majors":  {append([]insn{{code: ldxW, dst: 2, src: 1, off: 4}, {code: 0x25, dst: 2, imm: 3}}, end...), fault.Unsupported},
		"arithmetic of minor": {append([]insn{{code: ldxW, dst: 2, src: 1, off: 8}, {code: 0x54, dst: 2, imm: 1}}, end...), fault.Unsupported},
		"reading and writing only together": {[]insn{
			{code: ldxW, dst: 2, src: 1},
			{code: rsh32, dst: 2, imm: 16},
			{code: movImm, dst: 0, imm: 0},
			{code: jne32, dst: 2, imm: int32(Read | Write), off: 1},
			{code: movImm, dst: 0, imm: 1},
			{code: exitOp},
		}, fault.Unsupported},
	} {
		if rules, err := decode([][]insn{tt.prog}); !errors.Is(err, tt.kind) {
			t.Errorf("%s: %v, %v", name, rules, err)
		}
	}
}

func TestParseDeviceListRefuses(t *testing.T) {
	for _, text := range []string{"c 1:3", "cc 1:3 r", "c x:3 r", "c 1:4294967296 r", "c 1:3 q"} {
		if rules, err := parseDeviceList(text); err == nil {
			t.Errorf("%q: %v", text, rules)
		}
	}
}

func FuzzDecode(f *testing.F) {
	rules, err := DeviceRules(nil)
	if err != nil {
		f.Fatal(err)
	}
	var seed []byte
	for _, in := range filter(rules) {
		seed = append(seed, in.code, in.src<<4|in.dst)
		seed = binary.NativeEndian.AppendUint16(seed, uint16(in.off))
		seed = binary.NativeEndian.AppendUint32(seed, uint32(in.imm))
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 400 {
			return // the time is the square of it
		}
		prog := parseInsns(b)
		rules, err := decode([][]insn{prog})
		if err != nil {
			return
		}
		// What they say is what the program says.
		for _, q := range []access{{true, 1, 3, Read}, {false, 0, 0, Mknod}, {true, 77, 78, allAccess}, {false, 8, 1, Read | Write}} {
			kind := uint32(deviceB)
			if q.char {
				kind = deviceC
			}
			ok, err := interpret(prog, [3]uint32{uint32(q.want)<<16 | kind, q.major, q.minor}, [2]map[uint32]bool{{}, {}})
			if err == nil && ok != allowed(rules, q) {
				t.Errorf("%+v: the program says %v:\n%s", q, ok, text(rules))
			}
		}
	})
}

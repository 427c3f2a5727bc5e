package cgroup

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

const defaults = `allow c *:* m
allow b *:* m
allow c 1:3 rwm
allow c 1:5 rwm
allow c 1:7 rwm
allow c 1:8 rwm
allow c 1:9 rwm
allow c 5:0 rwm
allow c 5:2 rwm
allow c 136:* rwm
`

func TestDeviceRules(t *testing.T) {
	deny := specs.LinuxDeviceCgroup{Access: "rwm"}
	for _, tt := range []struct {
		name string
		list []specs.LinuxDeviceCgroup
		want string // written to v1
	}{
		{"no list is not everything", nil, "deny a\n" + defaults},
		{"deny first, as engines write it", []specs.LinuxDeviceCgroup{deny}, "deny a\n" + defaults},
		{"privileged", []specs.LinuxDeviceCgroup{deny, {Allow: true, Access: "rwm"}}, "allow a\n"},
		{"all but one", []specs.LinuxDeviceCgroup{{Allow: true, Access: "mwr", Type: "a"}, {Type: "c", Major: ptr(int64(1)), Minor: ptr(int64(11)), Access: "w"}}, "allow a\ndeny c 1:11 w\n" + defaults},
		{"listed order", []specs.LinuxDeviceCgroup{
			{Allow: true, Type: "c", Major: ptr(int64(10)), Minor: ptr(int64(229)), Access: "rw"},
			{Allow: true, Type: "b", Major: ptr(int64(8)), Minor: ptr(int64(-1)), Access: "r"},
			{Type: "c", Major: ptr(int64(10)), Minor: ptr(int64(229)), Access: "w"},
		}, "deny a\nallow c 10:229 rw\nallow b 8:* r\ndeny c 10:229 w\n" + defaults},
		{"both types, some access, is not all", []specs.LinuxDeviceCgroup{{Allow: true, Type: "a", Access: "m"}}, "deny a\nallow b *:* m\nallow c *:* m\n" + defaults},
		{"both types, some device", []specs.LinuxDeviceCgroup{{Allow: true, Major: ptr(int64(9)), Access: "rwm"}}, "deny a\nallow b 9:* rwm\nallow c 9:* rwm\n" + defaults},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files, err := Files(&specs.LinuxResources{Devices: tt.list}, V1)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, f := range files {
				got.WriteString(strings.TrimPrefix(f.Name, "devices.") + " " + f.Text + "\n")
			}
			if d := cmp.Diff(tt.want, got.String()); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestDeviceRulesRefuse(t *testing.T) {
	for want, d := range map[string]specs.LinuxDeviceCgroup{
		"devices[0].access: is empty": {Allow: true},
		`devices[0].access: "rx"`:     {Access: "rx"},
		`devices[0].type: "q"`:        {Type: "q", Access: "r"},
		"devices[0].major: -2":        {Major: ptr(int64(-2)), Access: "r"},
		"devices[0].minor: 429496729": {Minor: ptr(int64(1 << 32)), Access: "r"},
	} {
		_, err := DeviceRules([]specs.LinuxDeviceCgroup{d})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "devices") {
			t.Errorf("%+v: got %v, want %q", d, err, want)
		}
	}
}

// access is one question to the filter.
type access struct {
	char         bool
	major, minor uint32
	want         Access
}

// allowed is what the rules mean: for each part of the access the last rule
// that speaks of it decides.
func allowed(rules []Rule, q access) bool {
	for _, part := range []Access{Mknod, Read, Write} {
		if q.want&part == 0 {
			continue
		}
		ok := false
		for _, r := range rules {
			if (r.Type == 'c' && !q.char) || (r.Type == 'b' && q.char) || r.Access&part == 0 ||
				(r.Major >= 0 && uint32(r.Major) != q.major) || (r.Minor >= 0 && uint32(r.Minor) != q.minor) {
				continue
			}
			ok = r.Allow
		}
		if !ok {
			return false
		}
	}
	return true
}

// run interprets a filter program.
func run(t testing.TB, prog []insn, q access) bool {
	t.Helper()
	kind := uint32(deviceB)
	if q.char {
		kind = deviceC
	}
	ctx := map[int16]uint32{0: uint32(q.want)<<16 | kind, 4: q.major, 8: q.minor}
	var reg [11]uint32
	for pc := 0; pc < len(prog); pc++ {
		in := prog[pc]
		dst, imm := &reg[in.dst], uint32(in.imm)
		jump := false
		switch in.code {
		case ldxW:
			*dst = ctx[in.off]
		case movImm:
			*dst = imm
		case mov32:
			*dst = reg[in.src]
		case and32:
			*dst &= imm
		case rsh32:
			*dst >>= imm
		case jmp:
			jump = true
		case jne32:
			jump = *dst != imm
		case jset32:
			jump = *dst&imm != 0
		case exitOp:
			return reg[rVerdict] != 0
		default:
			t.Fatalf("instruction %d: unknown code %#x", pc, in.code)
		}
		if jump {
			if in.off < 0 {
				t.Fatalf("instruction %d jumps back", pc)
			}
			pc += int(in.off)
		}
	}
	t.Fatal("the program has no end")
	return false
}

// TestFilterAgreesWithRules asks random programs everything there is to ask.
func TestFilterAgreesWithRules(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	number := func() int64 { return []int64{-1, 0, 1, 4294967295}[rnd.IntN(4)] }
	for range 400 {
		rules := []Rule{}
		for range 1 + rnd.IntN(8) {
			rules = append(rules, Rule{
				Allow: rnd.IntN(2) == 0, Type: "abc"[rnd.IntN(3)], Major: number(), Minor: number(),
				Access: Access(1 + rnd.IntN(7)),
			})
		}
		prog := filter(rules)
		for _, char := range []bool{false, true} {
			for _, major := range []uint32{0, 1, 4294967295} {
				for _, minor := range []uint32{0, 1, 4294967295} {
					for want := Access(1); want <= allAccess; want++ {
						q := access{char, major, minor, want}
						if got := run(t, prog, q); got != allowed(rules, q) {
							t.Fatalf("%+v with %v: got %v", q, rules, got)
						}
					}
				}
			}
		}
	}
}

func TestFilterDefaults(t *testing.T) {
	rules, err := DeviceRules(nil)
	if err != nil {
		t.Fatal(err)
	}
	prog := filter(rules)
	for _, tt := range []struct {
		name string
		q    access
		want bool
	}{
		{"null", access{true, 1, 3, Read | Write}, true},
		{"a terminal", access{true, 136, 12, Read | Write}, true},
		{"make any node", access{false, 8, 0, Mknod}, true},
		{"kmsg", access{true, 1, 11, Read}, false},
		{"mem", access{true, 1, 1, Read}, false},
		{"tun", access{true, 10, 200, Read | Write}, false},
		{"fuse", access{true, 10, 229, Read | Write}, false},
		{"a disk", access{false, 8, 0, Read}, false},
		{"a disk numbered like null", access{false, 1, 3, Read}, false},
	} {
		if got := run(t, prog, tt.q); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

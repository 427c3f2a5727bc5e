package oci

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/test/fixture"
)

// veth makes a pair of links in the machine's network namespace, the first
// with addresses, and removes what is left of it.
func veth(t *testing.T) (a, b string) {
	t.Helper()
	fixture.Root(t)
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs iproute2:", err)
	}
	n := serial.Add(1)
	a, b = fmt.Sprintf("bo%d-%da", os.Getpid()%1e5, n), fmt.Sprintf("bo%d-%db", os.Getpid()%1e5, n)
	for _, args := range [][]string{
		{"link", "add", a, "type", "veth", "peer", "name", b},
		{"addr", "add", "192.0.2.7/29", "dev", a},
		{"addr", "add", "2001:db8::7/64", "dev", a, "nodad"},
		{"link", "set", a, "mtu", "1400", "up"},
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %q: %v %s", args, err, out)
		}
	}
	t.Cleanup(func() { exec.Command("ip", "link", "del", b).Run() })
	return a, b
}

const netProbe = `ip -o addr show dev %[1]s scope global | sed 's/.*\(inet6* [^ ]*\).*/\1/' | sort; ip link show dev %[1]s | grep -o 'mtu [0-9]*'; ip link show dev %[1]s | grep -c '[<,]UP[,>]'`

func TestNetDevices(t *testing.T) {
	for _, tt := range []struct {
		name, to       string
		userns, joined bool
	}{
		{"kept name", "", false, false},
		{"new name", "outer", false, false},
		{"user namespace", "eth0", true, false},
		{"joined", "eth0", false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, _ := veth(t)
			to := tt.to
			if to == "" {
				to = a
			}
			p := newPod(t, fmt.Sprintf(netProbe, to))
			p.spec.Linux.NetDevices = map[string]specs.LinuxNetDevice{a: {Name: tt.to}}
			if tt.userns {
				mapped(p)
			}
			if tt.joined {
				first := running(t)
				s, err := first.State(first.id)
				if err != nil {
					t.Fatal(err)
				}
				for i := range p.spec.Linux.Namespaces {
					if n := &p.spec.Linux.Namespaces[i]; n.Type == specs.NetworkNamespace {
						n.Path = fmt.Sprintf("/proc/%d/ns/net", s.Pid)
					}
				}
			}
			want := "inet 192.0.2.7/29\ninet6 2001:db8::7/64\nmtu 1400\n1\n"
			if got := p.says(); got != want {
				t.Errorf("%q, want %q", got, want)
			}
			if err := exec.Command("ip", "link", "show", "dev", a).Run(); err == nil {
				t.Error("it is still on the machine")
			}
		})
	}
}

func TestNetDeviceErrors(t *testing.T) {
	p := newPod(t, "true")
	p.spec.Linux.NetDevices = map[string]specs.LinuxNetDevice{"no-such-dev": {}}
	_, _, err := p.run()
	wantError(t, err, `linux.netDevices["no-such-dev"]`, "no such device")

	// One that is taken: the device stays where it is.
	a, b := veth(t)
	first := running(t)
	s, err := first.State(first.id)
	if err != nil {
		t.Fatal(err)
	}
	path := fmt.Sprintf("/proc/%d/ns/net", s.Pid)
	if out, err := exec.Command("nsenter", "--net="+path, "ip", "link", "add", "taken", "type", "veth", "peer", "name", "taken2").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	p.spec.Linux.NetDevices = map[string]specs.LinuxNetDevice{a: {Name: "taken"}}
	for i := range p.spec.Linux.Namespaces {
		if n := &p.spec.Linux.Namespaces[i]; n.Type == specs.NetworkNamespace {
			n.Path = path
		}
	}
	_, _, err = p.run()
	wantError(t, err, "linux.netDevices", "taken", "file exists")
	for _, name := range []string{a, b} {
		if out, err := exec.Command("ip", "link", "show", "dev", name).CombinedOutput(); err != nil {
			t.Errorf("%s: %v %s", name, err, out)
		}
	}
}

// Whichever later step fails, devices are the machine's again as they were.
func TestNetDevicesComeBack(t *testing.T) {
	a, b := veth(t)
	show := func(name string) string {
		out, err := exec.Command("sh", "-c", fmt.Sprintf(netProbe, name)).CombinedOutput()
		if err != nil && name == a {
			t.Errorf("%s: %v", name, err)
		}
		return string(out)
	}
	wantA, wantB := show(a), show(b)
	p := newPod(t, "true")
	p.spec.Linux.NetDevices = map[string]specs.LinuxNetDevice{a: {Name: "outer"}, b: {}}
	p.spec.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/true"}}}
	steps := createSteps(t)
	for _, fail := range append(steps[slices.Index(steps, "born")+1:], "third device") {
		p.seam = func(step string) error {
			if step == fail {
				return errStep
			}
			return nil
		}
		if fail == "third device" { // those before it have been moved
			p.spec.Linux.NetDevices["zz-missing"] = specs.LinuxNetDevice{}
		}
		_, err := p.Create(t.Context(), CreateRequest{ID: p.id, Bundle: p.load(), Stdio: newOutput(t).stdio()})
		if err == nil || !errors.Is(err, errStep) && fail != "third device" {
			t.Errorf("%s: %v", fail, err)
		}
		if gotA, gotB := show(a), show(b); gotA != wantA || gotB != wantB {
			t.Errorf("%s: %q and %q, want %q and %q", fail, gotA, gotB, wantA, wantB)
		}
	}
}

func FuzzNetlink(f *testing.F) {
	ack := binary.NativeEndian.AppendUint32(nil, 20)
	ack = binary.NativeEndian.AppendUint16(ack, unix.NLMSG_ERROR)
	ack = append(ack, make([]byte, 14)...)
	f.Add(ack)
	f.Add([]byte(strings.Repeat("\x14\x00\x00\x00\x14\x00\x02\x00", 4)))
	f.Fuzz(func(t *testing.T, b []byte) {
		replies(b, 0, func(kind uint16, data []byte) {
			if a, _, ok := parseAddress(data); ok && len(a.attrs) > 2*len(data)+8 {
				t.Errorf("%d bytes of attributes from %d", len(a.attrs), len(data))
			}
		})
	})
}

package systemd

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/berth-engine/berth/internal/fault"
)

// dial connects to the machine's real manager.
func dial(t *testing.T) *Conn {
	t.Helper()
	if !Running() {
		t.Skip("this machine was not started by systemd; the VM lane has one that was")
	}
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	c, err := Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// sleeper starts a process to be put into a scope.
func sleeper(t *testing.T) uint32 {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return uint32(cmd.Process.Pid)
}

func show(t *testing.T, unit, property string) string {
	t.Helper()
	out, err := exec.Command("systemctl", "show", "--value", "-p", property, unit).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// TestScope has a scope's life, through the private socket and through the
// bus, with a property of every type.
func TestScope(t *testing.T) {
	for _, way := range []string{"private", "bus"} {
		t.Run(way, func(t *testing.T) {
			c := dial(t)
			if way == "bus" {
				var err error
				if c, err = open(systemBus, true); err != nil {
					t.Fatal(err)
				}
				defer c.Close()
			}
			name := fmt.Sprintf("berth-test-%d-%s.scope", os.Getpid(), way)
			pid := sleeper(t)
			props := []Property{
				{"Description", "a test"},
				{"Slice", "system.slice"},
				{"Delegate", true},
				{"TasksMax", uint64(17)},
				{"PIDs", []uint32{pid}},
				{"AllowedCPUs", []byte{1}},
				{"DevicePolicy", "strict"},
				{"DeviceAllow", []Pair{{"/dev/char/1:3", "rwm"}, {"char-136", "rw"}}},
				{"CollectMode", "inactive-or-failed"},
			}
			if err := c.StartScope(name, props); err != nil {
				t.Fatal(err)
			}
			for property, want := range map[string]string{
				"TasksMax": "17", "AllowedCPUs": "0", "Description": "a test", "DeviceAllow": "char-136 rw\n/dev/char/1:3 rwm",
				"ActiveState": "active", "Delegate": "yes", "ControlGroup": "/system.slice/" + name,
			} {
				if got := show(t, name, property); got != want {
					t.Errorf("%s is %q, want %q", property, got, want)
				}
			}
			if err := c.StartScope(name, props); !errors.Is(err, fault.Exists) {
				t.Errorf("a second time: %v", err)
			}
			if err := c.SetProperties(name, []Property{{"TasksMax", uint64(18)}}); err != nil {
				t.Error(err)
			}
			if got := show(t, name, "TasksMax"); got != "18" {
				t.Errorf("TasksMax is %s after the change", got)
			}
			if err := c.SetProperties(name, []Property{{"NoSuchThing", true}}); !errors.Is(err, fault.Invalid) {
				t.Errorf("an unknown property: %v", err)
			}
			for range 2 { // what is gone is gone
				if err := c.Stop(name); err != nil {
					t.Error(err)
				}
			}
			if got := show(t, name, "ActiveState"); got != "inactive" {
				t.Errorf("after Stop it is %s", got)
			}
		})
	}
}

func TestManager(t *testing.T) {
	c := dial(t)
	if v, err := c.Version(); err != nil || v < 200 {
		t.Errorf("version %d, %v", v, err)
	}
	if g, err := c.ControlGroup(); err != nil || g != "" {
		t.Errorf("group %q, %v", g, err)
	}
}

// TestScopeOfNobody: systemd makes no scope without processes.
func TestScopeOfNobody(t *testing.T) {
	c := dial(t)
	if err := c.StartScope(fmt.Sprintf("berth-test-%d-nobody.scope", os.Getpid()), nil); err == nil {
		t.Error("want an error")
	}
}

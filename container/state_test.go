package container

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
)

func TestNext(t *testing.T) {
	for _, tt := range []struct {
		from State
		on   Event
		want State
		err  error
		text string
	}{
		{"", Start, Running, nil, ""},
		{Created, Start, Running, nil, ""},
		{Created, Fail, Created, nil, ""},
		{Created, Remove, Removing, nil, ""},
		{Created, Pause, "", fault.NotRunning, "container is not running"},
		{Running, Start, "", fault.Conflict, "already running"},
		{Running, Pause, Paused, nil, ""},
		{Running, Exit, Exited, nil, ""},
		{Running, Retry, Restarting, nil, ""},
		{Running, Resume, "", fault.Conflict, "is not paused"},
		{Running, Remove, "", fault.Conflict, "stop the container before removing or force remove"},
		{Paused, Start, "", fault.Conflict, "try unpause instead"},
		{Paused, Pause, "", fault.Conflict, "already paused"},
		{Paused, Resume, Running, nil, ""},
		{Paused, Exit, Exited, nil, ""},
		{Paused, Remove, "", fault.Conflict, "paused and must be unpaused first"},
		{Restarting, Start, Running, nil, ""},
		{Restarting, Exit, Exited, nil, ""},
		{Restarting, Pause, "", fault.Conflict, "is restarting"},
		{Restarting, Remove, "", fault.Conflict, "is restarting"},
		{Exited, Start, Running, nil, ""},
		{Exited, Exit, "", fault.NotRunning, "not running"},
		{Exited, Fail, Exited, nil, ""},
		{Exited, Remove, Removing, nil, ""},
		{Removing, Remove, "", fault.Conflict, "already in progress"},
		{Removing, Start, "", fault.Conflict, "marked for removal"},
		{Removing, RemoveFailed, Dead, nil, ""},
		{Dead, Remove, Removing, nil, ""},
		{Dead, Start, "", fault.Conflict, "can only be removed"},
		{"melted", Start, "", fault.Damaged, `unknown container state "melted"`},
	} {
		t.Run(string(tt.from)+" "+string(tt.on), func(t *testing.T) {
			got, err := Next(tt.from, tt.on)
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Fatalf("got %q, %v, want %q, %v", got, err, tt.want, tt.err)
			}
			if err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %q, want %q in it", err, tt.text)
			}
		})
	}
}

// No state is a dead end, and every refusal has a class that doors know.
func TestNextTotal(t *testing.T) {
	events := []Event{Start, Fail, Pause, Resume, Exit, Retry, Remove, RemoveFailed}
	for s := range next {
		out := 0
		for _, e := range events {
			if _, err := Next(s, e); err == nil {
				out++
			} else if !errors.Is(err, fault.Conflict) && !errors.Is(err, fault.NotRunning) {
				t.Errorf("%s %s: class of %v", s, e, err)
			}
		}
		if out == 0 {
			t.Errorf("%s has no way out", s)
		}
	}
}

func TestStatusReadWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status.json")
	if got, err := ReadStatus(path); err != nil || got.State != Created {
		t.Errorf("missing: %+v, %v", got, err)
	}
	want := Status{State: Exited, Exit: &ExitStatus{Code: 137, Signal: 9, OOMKilled: true}, FinishedAt: time.Unix(1, 2).UTC(), RestartCount: 3}
	for _, durable := range []bool{false, true} {
		if err := WriteStatus(path, want, durable); err != nil {
			t.Fatal(err)
		}
		got, err := ReadStatus(path)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
	if err := WriteStatus(path, Status{State: "melted"}, false); !errors.Is(err, fault.Invalid) {
		t.Errorf("unknown state written: %v", err)
	}
	for _, text := range []string{"", "{", `{"State":"melted"}`, `{"State":""}`, `[]`, "null"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadStatus(path); !errors.Is(err, fault.Damaged) {
			t.Errorf("%q: got %v, want damaged", text, err)
		}
	}
}

func TestAlive(t *testing.T) {
	pid := os.Getpid()
	ticks, err := kernel.StartTicks(pid)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "status.json")
	if err := WriteStatus(path, Status{State: Running, Pid: pid, StartTicks: ticks, MonitorPid: pid, MonitorTicks: ticks}, false); err != nil {
		t.Fatal(err)
	}
	s, err := ReadStatus(path)
	if err != nil {
		t.Fatal(err)
	}
	if s.BootID == "" || s.BootID != kernel.BootID() {
		t.Errorf("boot id %q", s.BootID)
	}
	if !s.Alive() || !s.MonitorAlive() {
		t.Error("a living process is not alive")
	}
	other := s
	other.StartTicks++
	other.MonitorTicks--
	if other.Alive() || other.MonitorAlive() {
		t.Error("a reused pid is alive")
	}
	other = s
	other.BootID = "another"
	if other.Alive() || other.MonitorAlive() {
		t.Error("a pid of another boot is alive")
	}
	if (Status{State: Running}).Alive() || (Status{Pid: -1}).Alive() {
		t.Error("no pid is alive")
	}
}

func TestAliveZombie(t *testing.T) {
	cmd := exec.Command("/bin/sleep", "100")
	if err := cmd.Start(); err != nil {
		t.Skip("needs sleep:", err)
	}
	defer cmd.Wait()
	pid := cmd.Process.Pid
	ticks, err := kernel.StartTicks(pid)
	if err != nil {
		t.Fatal(err)
	}
	s := Status{Pid: pid, StartTicks: ticks}
	if !s.Alive() {
		t.Error("not alive at first")
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// Nobody reaps it yet, so it stays a zombie with its pid and start time.
	for end := time.Now().Add(5 * time.Second); s.Alive(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a zombie is alive")
		}
	}
	if again, err := kernel.StartTicks(pid); err != nil || again != ticks {
		t.Errorf("the zombie is gone: %d, %v", again, err)
	}
}

func ExampleNext() {
	to, err := Next(Created, Start)
	fmt.Println(to, err)
	_, err = Next(Running, Remove)
	fmt.Println(err)
	// Output:
	// running <nil>
	// container is running: stop the container before removing or force remove
}

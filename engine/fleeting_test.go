package engine

import (
	"os"
	"testing"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/test/ledger"
)

// reboot is what a restart of the machine does to an engine's directories.
func reboot(t *testing.T, cfg Config) {
	t.Helper()
	if err := os.RemoveAll(cfg.State); err != nil {
		t.Fatal(err)
	}
}

// The bundle of a container with --rm is in memory. Its record is not, so the
// container can still be started, from a bundle made anew.
func TestStartAfterReboot(t *testing.T) {
	e, cfg := testEngine(t, nil)
	q := CreateRequest{Request: runRequest(cfg).Request}
	if _, err := e.Containers.Create(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	reboot(t, cfg)
	exit, err := e.Containers.StartAttached(t.Context(), AttachRequest{Name: "victim"})
	if err != nil || exit.Code != 0 {
		t.Fatalf("%+v, %v", exit, err)
	}
	if left := things(t, cfg); left != nil {
		t.Errorf("left behind: %q", left)
	}
}

// One that ran when the machine went down is not said to run, and can be removed.
func TestRebootWhileRunning(t *testing.T) {
	e, cfg := testEngine(t, nil)
	res, err := e.Containers.Create(t.Context(), CreateRequest{Request: runRequest(cfg).Request})
	if err != nil {
		t.Fatal(err)
	}
	records, err := e.Containers.records()
	if err != nil {
		t.Fatal(err)
	}
	s := container.Status{State: container.Running, Pid: 1, StartTicks: 1, MonitorPid: 1, MonitorTicks: 1, BootID: "an earlier boot"}
	if err := container.WriteStatus(records.StatusFile(res.ID), s, false); err != nil {
		t.Fatal(err)
	}
	reboot(t, cfg)
	list, err := e.Containers.List(t.Context(), ListRequest{All: true})
	if err != nil || len(list) != 1 {
		t.Fatalf("%d containers, %v", len(list), err)
	}
	if st := list[0].Status; st.State != container.Exited || st.Exit == nil || !st.Exit.Unknown {
		t.Errorf("status %+v", st)
	}
	if err := e.Containers.Remove(t.Context(), RemoveRequest{Name: "victim"}); err != nil {
		t.Fatal(err)
	}
	if left := things(t, cfg); left != nil {
		t.Errorf("left behind: %q", left)
	}
}

// A monitor that was started for a container that then could not be made ends.
func TestEarlyMonitorEnds(t *testing.T) {
	e, cfg := testEngine(t, nil)
	ledger.Check(t, ledger.Scope{Marks: []string{cfg.Root, cfg.State}}) // no process of ours either
	m := e.Containers.spawnEarly(t.Context(), container.NewID(), true)
	conn, err := m.take()
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	m.drop() // nothing to give any more
	if left := things(t, cfg); left != nil {
		t.Errorf("left behind: %q", left)
	}
}

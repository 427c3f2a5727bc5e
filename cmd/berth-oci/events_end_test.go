package main

import (
	"encoding/json"
	"io"
	"io/fs"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/runtime/cgroup"
	"github.com/berth-engine/berth/runtime/oci"
)

// vanishing is the group of a container that ends, and is deleted by whoever
// has waited for it, at the moment its counters are asked for.
type vanishing struct {
	cgroup.Manager
	payload *exec.Cmd
}

func (v vanishing) Stats() (cgroup.Stats, error) {
	_ = v.payload.Process.Kill()
	_ = v.payload.Wait() // it was killed
	return cgroup.Stats{}, fs.ErrNotExist
}

func TestEventsEndWithTheGroup(t *testing.T) {
	s := newShell(t, "sleep 1000")
	s.want(0, "", "run", "--detach", "--bundle", s.bundle, s.id)
	rt := &oci.Runtime{Root: s.root}
	m, err := rt.Cgroup(s.id)
	if err != nil {
		t.Fatal(err)
	}
	payload := exec.CommandContext(t.Context(), "sleep", "1000")
	if err := payload.Start(); err != nil {
		t.Fatal(err)
	}
	pidfd, err := unix.PidfdOpen(payload.Process.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	e := events{id: s.id, m: vanishing{m, payload}, out: json.NewEncoder(io.Discard), interval: time.Millisecond}
	if err := e.follow(pidfd); err != nil {
		t.Errorf("the container ended, and events says %v", err)
	}
}

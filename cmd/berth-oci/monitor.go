package main

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/container/monitor"
	"github.com/berth-engine/berth/container/monitor/server"
	"github.com/berth-engine/berth/internal/brisk"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/runtime/oci"
)

// monitorMain is `berth-oci monitor [--adopt | --renew HANDOVER] BUNDLE`: the process beside one
// container of the engine, which starts it, never a person.
func monitorMain(args []string) int {
	runtime.LockOSThread() // the payload's parent is the first thread: see server.Renew
	err := runMonitor(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "berth-oci:", err)
		return 1
	}
	return 0
}

func runMonitor(args []string) error {
	adopt := len(args) == 2 && args[0] == "--adopt"
	renew := len(args) == 3 && args[0] == server.RenewFlag
	if len(args) != 1 && !adopt && !renew {
		return fault.New(fault.Invalid, "monitor: started by berth, with the directory of one bundle")
	}
	if !renew {
		unix.CloseOnExec(monitor.FirstFD)
		brisk.Start()
		awaitRequest()
	}
	cfg, err := monitor.ReadConfig(args[len(args)-1])
	if err != nil {
		return err
	}
	rt := engineRuntime{&oci.Runtime{Root: cfg.RuntimeRoot}}
	if renew {
		return server.Renew(cfg, rt, args[1])
	}
	first := os.NewFile(monitor.FirstFD, "first connection")
	if adopt {
		return server.Adopt(cfg, rt, first)
	}
	return server.Run(cfg, rt, first)
}

// awaitRequest returns when the engine has asked for something, or has left.
// It starts us while it still writes the bundle; with the first request all
// of it is there.
func awaitRequest() {
	fds := []unix.PollFd{{Fd: monitor.FirstFD, Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, -1); err != unix.EINTR { //nolint:errorlint // never wrapped
			return
		}
	}
}

// engineRuntime gives package oci the form that the monitor wants.
type engineRuntime struct{ rt *oci.Runtime }

func (e engineRuntime) Run(ctx context.Context, b server.Bundle) (server.Proc, error) {
	bundle, err := oci.LoadBundle(b.Dir)
	if err != nil {
		return server.Proc{}, err
	}
	stdio, done, err := standIn([3]*os.File{b.Stdin, b.Stdout, b.Stderr})
	if err != nil {
		return server.Proc{}, err
	}
	defer done()
	req := runRequest(b.ID, bundle)
	req.Stdio, req.Console = stdio, b.Console
	p, err := e.rt.Create(ctx, req)
	return procOf(p), err
}

// runRequest is what monitors ask of the runtime and explain explains.
func runRequest(id string, b *oci.Bundle) oci.CreateRequest {
	return oci.CreateRequest{ID: id, Bundle: b, Start: true}
}

// standIn puts /dev/null where a descriptor is missing: a process with a
// terminal has none until it is there.
func standIn(stdio [3]*os.File) ([3]*os.File, func(), error) {
	done := func() {}
	for i, f := range stdio {
		if f != nil {
			continue
		}
		null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err != nil {
			done()
			return stdio, nil, err
		}
		before := done
		done = func() { before(); null.Close() }
		stdio[i] = null
	}
	return stdio, done, nil
}

func procOf(p *oci.Process) server.Proc {
	if p == nil {
		return server.Proc{}
	}
	return server.Proc{Pid: p.Pid, Pidfd: p.Pidfd, StartTicks: p.StartTicks, Console: p.Console}
}

func (e engineRuntime) Exec(ctx context.Context, id string, p *specs.Process, stdio [3]*os.File) (server.Proc, error) {
	stdio, done, err := standIn(stdio)
	if err != nil {
		return server.Proc{}, err
	}
	defer done()
	proc, err := e.rt.Exec(ctx, oci.ExecRequest{ID: id, Process: p, Stdio: stdio})
	return procOf(proc), err
}

func (e engineRuntime) Kill(id string, sig int, all bool) error {
	return e.rt.Kill(id, unix.Signal(sig), all)
}

func (e engineRuntime) Pause(ctx context.Context, id string) error {
	return e.rt.Freeze(ctx, id, true)
}

func (e engineRuntime) Resume(ctx context.Context, id string) error {
	return e.rt.Freeze(ctx, id, false)
}

func (e engineRuntime) Delete(ctx context.Context, id string, force bool) error {
	return e.rt.Delete(ctx, id, force)
}

func (e engineRuntime) OOMKilled(id string) (bool, []string, error) {
	m, err := e.rt.Cgroup(id)
	if err != nil {
		return false, nil, err
	}
	n, err := m.OOMKills()
	if err != nil || n == 0 {
		return false, nil, err
	}
	killed, err := m.Victims()
	if err != nil { // the kernel's log may not be ours to read
		return true, nil, nil //nolint:nilerr // that it happened is known
	}
	names := make([]string, len(killed))
	for i, v := range killed {
		names[i] = fmt.Sprintf("%s (process %d, limit of %s)", v.Name, v.Pid, v.Limit)
	}
	return true, names, nil
}

func (e engineRuntime) Adopt(_ context.Context, id string) (server.Proc, error) {
	s, err := e.rt.State(id)
	if err != nil {
		return server.Proc{}, err
	}
	if s.Status == specs.StateStopped {
		return server.Proc{}, fault.New(fault.NotRunning, "container %s has ended", id)
	}
	return server.Proc{Pid: s.Pid, StartTicks: s.StartTicks}, nil
}

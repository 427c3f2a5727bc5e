package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
	"github.com/berth-engine/berth/runtime/launch"
	"github.com/berth-engine/berth/runtime/plan"
)

// createHooks runs the hooks that come between the mounts and the pivot.
func (c *creation) createHooks(ctx context.Context, child *launch.Process) error {
	h := c.spec.Hooks
	if h == nil {
		return nil
	}
	if err := c.r.runHooks(ctx, c.st, "prestart", h.Prestart, true); err != nil { //nolint:staticcheck // deprecated, and must still work
		return err
	}
	if err := c.r.runHooks(ctx, c.st, "createRuntime", h.CreateRuntime, true); err != nil {
		return err
	}
	return c.r.insideHooks(ctx, c.st, "createContainer", h.CreateContainer)
}

// runHooks runs hooks in the runtime's own namespaces, the state on stdin. With
// strict the first failure ends it; otherwise failures are warnings and all run.
func (r *Runtime) runHooks(ctx context.Context, s *State, name string, hooks []specs.Hook, strict bool) error {
	for i := range hooks {
		err := runHook(ctx, s, &hooks[i])
		if err == nil {
			continue
		}
		err = fmt.Errorf("error running %s hook #%d: %w", name, i, err)
		if strict {
			return err
		}
		r.warn(err)
	}
	return nil
}

func hookContext(ctx context.Context, h *specs.Hook) (context.Context, context.CancelFunc) {
	if h.Timeout != nil && *h.Timeout > 0 {
		return context.WithTimeout(ctx, time.Duration(*h.Timeout)*time.Second)
	}
	return ctx, func() {}
}

func runHook(ctx context.Context, s *State, h *specs.Hook) error {
	if !strings.HasPrefix(h.Path, "/") {
		return fault.New(fault.Invalid, "path %q is not absolute", h.Path)
	}
	state, err := json.Marshal(s.State)
	if err != nil {
		return err
	}
	ctx, cancel := hookContext(ctx, h)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, h.Path)
	if len(h.Args) > 0 {
		cmd.Args = h.Args
	}
	cmd.Env = h.Env
	if cmd.Env == nil {
		cmd.Env = []string{}
	}
	cmd.Dir = s.Bundle
	cmd.Stdin = bytes.NewReader(state)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	// A hook need not read its stdin.
	if errors.Is(err, unix.EPIPE) {
		err = nil
	}
	if err != nil {
		return hookError(ctx, h, err, out.String())
	}
	return nil
}

func hookError(ctx context.Context, h *specs.Hook, err error, output string) error {
	if ctx.Err() != nil {
		err = fmt.Errorf("%s: no end within its timeout: %w", h.Path, err)
	}
	const most = 1024
	if output = strings.TrimSpace(output); len(output) > most {
		output = output[:most] + "…"
	}
	return fmt.Errorf("%w, output: %q", err, output)
}

// insideHooks runs hooks in the namespaces of the container, by the same kind
// of plan as exec.
func (r *Runtime) insideHooks(ctx context.Context, s *State, name string, hooks []specs.Hook) error {
	for i := range hooks {
		if err := r.insideHook(ctx, s, &hooks[i]); err != nil {
			return fmt.Errorf("error running %s hook #%d: %w", name, i, err)
		}
	}
	return nil
}

func (r *Runtime) insideHook(ctx context.Context, s *State, h *specs.Hook) error {
	ctx, cancel := hookContext(ctx, h)
	defer cancel()
	state, err := json.Marshal(s.State)
	if err != nil {
		return err
	}
	stdin, err := pipeWith(state)
	if err != nil {
		return err
	}
	defer stdin.Close()
	apart, err := namespacesApart(s.Pid)
	if err != nil {
		return err
	}
	// The filter, capabilities and user of the payload do not apply to hooks.
	p := &specs.Process{Cwd: "/", Args: []string{h.Path}, Env: h.Env}
	f := plan.JoinFacts{
		Facts:      plan.Facts{LastCap: kernel.LastCap(), Arch: runtime.GOARCH, NoKeyring: true},
		Namespaces: apart &^ unix.CLONE_NEWUSER, Who: s.ID,
	}
	pl, err := plan.Join(p, f)
	if err != nil {
		return err
	}
	if len(h.Args) > 0 {
		pl.SetArgs(h.Args)
	}
	child, err := r.launchJoin(ctx, pl, s, [3]*os.File{stdin, os.Stderr, os.Stderr}, nil, nil)
	if err != nil {
		return err
	}
	defer child.Pidfd.Close()
	stop := context.AfterFunc(ctx, func() { child.Kill() })
	defer stop()
	var ws unix.WaitStatus
	if _, err := wait4(child.Pid, &ws); err != nil {
		return err
	}
	if ws.Exited() && ws.ExitStatus() == 0 {
		return nil
	}
	return fmt.Errorf("%s: %s", h.Path, statusWords(ws))
}

func statusWords(ws unix.WaitStatus) string {
	if ws.Signaled() {
		return "killed by " + ws.Signal().String()
	}
	return fmt.Sprintf("exit status %d", ws.ExitStatus())
}

// pipeWith returns the reading end of a pipe that holds data.
func pipeWith(data []byte) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	// The state of a container is smaller than a pipe, or a goroutine fills it.
	go func() {
		w.Write(data)
		w.Close()
	}()
	return r, nil
}

func wait4(pid int, ws *unix.WaitStatus) (int, error) {
	for {
		n, err := unix.Wait4(pid, ws, 0, nil)
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

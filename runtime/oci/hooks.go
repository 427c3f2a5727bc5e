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
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/kernel"
	"github.com/berth-engine/berth/runtime/plan"
)

// createHooks runs the hooks that come between the mounts and the pivot.
func (c *creation) createHooks(ctx context.Context) error {
	h := c.spec.Hooks
	if h == nil {
		return nil
	}
	c.hooked = true
	// These hooks are steps 3 to 5 of runtime.md's lifecycle, and a container
	// is created "after step 2".
	c.st.Status = specs.StateCreated
	//lint:ignore SA1019 prestart hooks are deprecated and must still run
	if err := c.r.runHooks(ctx, c.st, "prestart", h.Prestart, true); err != nil {
		return err
	}
	if err := c.r.runHooks(ctx, c.st, "createRuntime", h.CreateRuntime, true); err != nil {
		return err
	}
	return c.r.createContainer(ctx, c.st, h.CreateContainer)
}

// poststart belongs to Create when that starts the payload. The container that
// fails here is undone.
func (c *creation) poststart(ctx context.Context) error {
	if !c.req.Start || c.spec.Hooks == nil {
		return nil
	}
	c.hooked = true
	c.st.Status = specs.StateRunning
	return c.r.runHooks(ctx, c.st, "poststart", c.spec.Hooks.Poststart, true)
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
	defer kernel.UsualThread()()
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

// createContainer runs hooks in the namespaces of a container whose root is
// still the machine's: their programs are the machine's own, and the payload's
// filter, user and rights are not for them.
func (r *Runtime) createContainer(ctx context.Context, s *State, hooks []specs.Hook) error {
	return insideHooks(ctx, s, "createContainer", hooks, func(ctx context.Context, h *specs.Hook, stdin *os.File) (*Process, error) {
		apart, err := namespacesApart(s.Pid)
		if err != nil {
			return nil, err
		}
		p := &specs.Process{Cwd: "/", Args: []string{h.Path}, Env: h.Env}
		pl, err := plan.Join(p, plan.JoinFacts{
			Facts:      plan.Facts{LastCap: kernel.LastCap(), Files: kernel.FileLimit(), Arch: runtime.GOARCH, NoKeyring: true},
			Namespaces: apart, Who: s.ID,
		})
		if err != nil {
			return nil, err
		}
		if len(h.Args) > 0 {
			pl.SetArgs(h.Args)
		}
		child, err := r.launchJoin(ctx, pl, s, [3]*os.File{stdin, os.Stderr, os.Stderr}, nil, nil)
		if err != nil {
			return nil, explainExec(siteIn(s), p, err)
		}
		return &Process{Pid: child.Pid, Pidfd: child.Pidfd}, nil
	})
}

// startContainer runs hooks inside the container. Their programs come from the
// image, so they are confined like its payload: same user, rights, filter and
// groups.
func (r *Runtime) startContainer(ctx context.Context, s *State, spec *specs.Spec, hooks []specs.Hook) error {
	return insideHooks(ctx, s, "startContainer", hooks, func(ctx context.Context, h *specs.Hook, stdin *os.File) (*Process, error) {
		p := *spec.Process
		p.Terminal, p.Args = false, []string{h.Path}
		if setHome(&p, rootOf(s)); len(h.Env) > 0 {
			p.Env = h.Env
		}
		req := &ExecRequest{ID: s.ID, Process: &p, Stdio: [3]*os.File{stdin, os.Stderr, os.Stderr}, args: h.Args}
		return r.exec(ctx, req, s, spec)
	})
}

// insideHooks gives each hook the state as seen in the container and waits for
// its end.
func insideHooks(ctx context.Context, s *State, name string, hooks []specs.Hook, start func(context.Context, *specs.Hook, *os.File) (*Process, error)) error {
	if len(hooks) == 0 {
		return nil
	}
	seen := s.State
	seen.Pid = innerPid(s.Pid)
	state, err := json.Marshal(seen)
	if err != nil {
		return err
	}
	for i := range hooks {
		if err := insideHook(ctx, state, &hooks[i], start); err != nil {
			return fmt.Errorf("error running %s hook #%d: %w", name, i, err)
		}
	}
	return nil
}

// innerPid is a process's number in its own pid namespace.
func innerPid(pid int) int {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return pid
	}
	for line := range strings.Lines(string(data)) {
		if !strings.HasPrefix(line, "NSpid:") {
			continue
		}
		f := strings.Fields(line)
		if n, err := strconv.Atoi(f[len(f)-1]); err == nil {
			return n
		}
	}
	return pid
}

func insideHook(ctx context.Context, state []byte, h *specs.Hook, start func(context.Context, *specs.Hook, *os.File) (*Process, error)) error {
	ctx, cancel := hookContext(ctx, h)
	defer cancel()
	stdin, err := pipeWith(state)
	if err != nil {
		return err
	}
	defer stdin.Close()
	child, err := start(ctx, h, stdin)
	if err != nil {
		return err
	}
	defer child.Pidfd.Close()
	stop := context.AfterFunc(ctx, func() { child.Signal(unix.SIGKILL) })
	defer stop()
	var ws unix.WaitStatus
	if _, err := wait4(child.Pid, &ws); err != nil {
		return err
	}
	switch {
	case ws.Exited() && ws.ExitStatus() == 0:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: no end within its timeout: %w", h.Path, ctx.Err())
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

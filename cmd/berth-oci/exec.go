package main

import (
	"errors"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/runtime/oci"
)

// execFlags are the flags of exec.
type execFlags struct {
	makeFlags
	process, cwd, user, apparmor, label string
	env, caps, cgroups                  list
	groups                              numbers
	tty, nnp, ignorePaused              bool
}

// plainLine is an error as runc prints it when a program could not be executed
// in the end: one line without time and level. Otherwise it is empty.
func plainLine(err error) string {
	var e *oci.ExecError
	if errors.As(err, &e) {
		return e.Line()
	}
	return ""
}

// cannotStart is the status of an exec whose process never ran.
const cannotStart = 255

func cmdExec(a *app) func() (int, error) {
	var e execFlags
	declareProcess(a, &e.makeFlags)
	f := a.flags
	f.StringVarP(&e.process, "process", "p", "", "file with the process as JSON")
	f.StringVar(&e.cwd, "cwd", "", "working directory")
	f.StringVarP(&e.user, "user", "u", "", "UID[:GID]")
	f.StringVar(&e.apparmor, "apparmor", "", "AppArmor profile")
	f.StringVar(&e.label, "process-label", "", "SELinux label")
	f.Var(&e.env, "env", "further variables")
	f.short("e", "env")
	f.Var(&e.caps, "cap", "further capabilities")
	f.short("c", "cap")
	f.Var(&e.groups, "additional-gids", "further groups")
	f.short("g", "additional-gids")
	f.Var(&e.cgroups, "cgroup", "[CONTROLLER[,CONTROLLER]:]PATH of a group below the container's")
	f.BoolVarP(&e.tty, "tty", "t", "with a terminal")
	f.BoolVar(&e.nnp, "no-new-privs", false, "setuid programs gain nothing")
	f.BoolVar(&e.ignorePaused, "ignore-paused", false, "wait for a paused container")
	f.BoolVarP(&e.detach, "detach", "d", "return when the process runs")
	return func() (int, error) {
		code, err := a.exec(&e)
		if err != nil && code == 0 {
			code = cannotStart
		}
		return code, err
	}
}

func (a *app) exec(e *execFlags) (int, error) {
	st, err := a.rt.State(a.args[0])
	if err != nil {
		return 0, err
	}
	req := oci.ExecRequest{ID: a.args[0], Stdio: stdio(), IgnorePaused: e.ignorePaused}
	if req.Process, err = a.processOf(e, st, a.args[1:]); err != nil {
		return 0, err
	}
	if req.Preserve, err = preserved(e.preserve, req.Process); err != nil {
		return 0, err
	}
	if req.SubCgroups, err = subCgroups(e.cgroups); err != nil {
		return 0, err
	}
	if e.pidFile != "" {
		if req.PIDFile, err = filepath.Abs(e.pidFile); err != nil {
			return 0, err
		}
	}
	if req.Console, err = e.console(req.Process, e.detach); err != nil {
		return 0, err
	}
	fg, err := newForeground(req.Process.Terminal && req.Console == nil)
	if err != nil {
		return 0, err
	}
	defer fg.restore()
	p, err := a.join(req, &e.makeFlags)
	if err != nil || e.detach {
		return 0, err
	}
	return fg.wait(p)
}

// spec is the process to run: from a file, or the container's own changed by
// flags.
func (a *app) processOf(e *execFlags, st *oci.State, args []string) (*specs.Process, error) {
	if e.process != "" {
		return oci.ReadProcess(e.process)
	}
	if len(args) == 0 {
		return nil, fault.New(fault.Invalid, "exec needs a command, or --process with a file")
	}
	spec, err := a.rt.Spec(st.ID)
	if err != nil {
		return nil, err
	}
	p := spec.Process
	p.Args, p.Terminal = args, e.tty
	p.Env = append(p.Env, e.env...)
	if e.cwd != "" {
		p.Cwd = e.cwd
	}
	if e.apparmor != "" {
		p.ApparmorProfile = e.apparmor
	}
	if e.label != "" {
		p.SelinuxLabel = e.label
	}
	if e.nnp {
		p.NoNewPrivileges = true
	}
	for _, g := range e.groups {
		p.User.AdditionalGids = append(p.User.AdditionalGids, uint32(g))
	}
	e.addCaps(p)
	return p, e.setUser(p)
}

func (e *execFlags) addCaps(p *specs.Process) {
	if len(e.caps) == 0 {
		return
	}
	if p.Capabilities == nil {
		p.Capabilities = &specs.LinuxCapabilities{}
	}
	c := p.Capabilities
	c.Bounding = append(c.Bounding, e.caps...)
	c.Effective = append(c.Effective, e.caps...)
	c.Permitted = append(c.Permitted, e.caps...)
}

func (e *execFlags) setUser(p *specs.Process) error {
	if e.user == "" {
		return nil
	}
	uid, gid, hasGID := strings.Cut(e.user, ":")
	n, err := strconv.ParseUint(uid, 10, 31)
	if err != nil {
		return fault.New(fault.Invalid, "--user %s: want UID[:GID] in numbers", e.user)
	}
	p.User.UID = uint32(n)
	if !hasGID {
		return nil
	}
	if n, err = strconv.ParseUint(gid, 10, 31); err != nil {
		return fault.New(fault.Invalid, "--user %s: want UID[:GID] in numbers", e.user)
	}
	p.User.GID = uint32(n)
	return nil
}

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/jsontext"
	"github.com/berth-engine/berth/runtime/oci"
	"github.com/berth-engine/berth/runtime/plan"
)

func printVersion(w io.Writer) {
	fmt.Fprintf(w, "berth-oci version %s\n", version)
	if commit != "" {
		fmt.Fprintf(w, "commit: %s\n", commit)
	}
	fmt.Fprintf(w, "spec: %s\ngo: %s\n", specs.Version, runtime.Version())
}

func jsonString(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(b)
}

// stateView is the JSON of state and list, in runc's order.
type stateView struct {
	Version     string               `json:"ociVersion"`
	ID          string               `json:"id"`
	Pid         int                  `json:"pid"`
	Status      specs.ContainerState `json:"status"`
	Bundle      string               `json:"bundle"`
	Rootfs      string               `json:"rootfs"`
	Created     time.Time            `json:"created"`
	Annotations map[string]string    `json:"annotations,omitempty"`
	Owner       string               `json:"owner"`
}

func viewOf(s *oci.State) stateView {
	return stateView{s.Version, s.ID, s.Pid, s.Status, s.Bundle, s.Rootfs, s.Created, s.Annotations, s.Owner}
}

// writeIndented is json.MarshalIndent without reflection: callers ask for
// states so often that its preparation shows.
func writeIndented(w io.Writer, v any) error {
	text, err := jsontext.Marshal(v)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "  "); err != nil {
		return err
	}
	out.WriteByte('\n')
	_, err = out.WriteTo(w)
	return err
}

func cmdState(a *app) func() (int, error) {
	return func() (int, error) {
		s, err := a.rt.State(a.args[0])
		if err != nil {
			return 1, err
		}
		return 0, writeIndented(a.stdout, viewOf(s))
	}
}

func cmdList(a *app) func() (int, error) {
	format := a.flags.StringP("format", "f", "table", "table or json")
	quiet := a.flags.BoolP("quiet", "q", "ids only")
	return func() (int, error) {
		if err := checkFormat(*format); err != nil {
			return 1, err
		}
		all, err := a.rt.List()
		if errors.Is(err, fs.ErrNotExist) && !a.flags.Changed("root") && a.root == defaultRoot() {
			err = nil
		}
		if err != nil {
			return 1, err
		}
		return 0, printList(a.stdout, all, *format, *quiet)
	}
}

// checkFormat refuses an unknown format before anything is printed.
func checkFormat(format string) error {
	if format != "table" && format != "json" {
		return fault.New(fault.Invalid, "invalid format option %q: table and json are known", format)
	}
	return nil
}

func printList(w io.Writer, all []*oci.State, format string, quiet bool) error {
	switch {
	case quiet:
		for _, s := range all {
			fmt.Fprintln(w, s.ID)
		}
	case format == "json":
		views := make([]stateView, len(all))
		for i, s := range all {
			views[i] = viewOf(s)
		}
		return json.NewEncoder(w).Encode(views)
	default:
		t := tabwriter.NewWriter(w, 12, 1, 3, ' ', 0)
		fmt.Fprintln(t, "ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER")
		for _, s := range all {
			fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\n", s.ID, s.Pid, s.Status, s.Bundle, s.Created.Format(time.RFC3339Nano), s.Owner)
		}
		return t.Flush()
	}
	return nil
}

// cmdPs filters ps(1) of the host by the container's processes.
func cmdPs(a *app) func() (int, error) {
	format := a.flags.StringP("format", "f", "table", "table or json")
	return func() (int, error) {
		if err := checkFormat(*format); err != nil {
			return 1, err
		}
		m, err := a.rt.Cgroup(a.args[0])
		if err != nil {
			return 1, err
		}
		pids, err := m.Pids()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 1, err
		}
		if *format == "json" {
			if pids == nil {
				pids = []int{}
			}
			return 0, json.NewEncoder(a.stdout).Encode(pids)
		}
		args := a.args[1:]
		if len(args) == 0 {
			args = []string{"-ef"}
		}
		out, err := exec.Command("ps", args...).Output()
		if err != nil {
			return 1, fault.Op("ps", strings.Join(args, " "), err)
		}
		return 0, filterPs(a.stdout, string(out), pids)
	}
}

func filterPs(w io.Writer, table string, pids []int) error {
	lines := strings.Split(strings.TrimSuffix(table, "\n"), "\n")
	column := slices.Index(strings.Fields(lines[0]), "PID")
	if column < 0 {
		return fault.New(fault.Invalid, "ps: its output has no PID column; choose other options")
	}
	fmt.Fprintln(w, lines[0])
	for _, line := range lines[1:] {
		f := strings.Fields(line)
		if len(f) <= column {
			continue
		}
		if pid, err := strconv.Atoi(f[column]); err == nil && slices.Contains(pids, pid) {
			fmt.Fprintln(w, line)
		}
	}
	return nil
}

func cmdSpec(a *app) func() (int, error) {
	bundle := a.flags.StringP("bundle", "b", ".", "directory to write config.json into")
	f := a.flags.Lookup("rootless")
	f.DefValue, f.Usage = "", "for a caller who is not root: with a user namespace"
	rootless := f.Value.(*optional)
	rootless.alone = true
	return func() (int, error) {
		s := oci.DefaultSpec()
		if rootless.text == "true" {
			oci.MakeRootless(s, uint32(os.Geteuid()), uint32(os.Getegid()))
		}
		b, err := json.MarshalIndent(s, "", "\t")
		if err != nil {
			return 1, err
		}
		f, err := os.OpenFile(filepath.Join(*bundle, "config.json"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if errors.Is(err, fs.ErrExist) {
			return 1, fault.New(fault.Exists, "file %s exists. Remove it first", filepath.Join(*bundle, "config.json"))
		}
		if err != nil {
			return 1, err
		}
		_, err = f.Write(append(b, '\n'))
		return 0, errors.Join(err, f.Close())
	}
}

func cmdExplain(a *app) func() (int, error) {
	calls := a.flags.Bool("calls", false, "print the system calls of each step")
	create := a.flags.Bool("create", false, "as create and start do it, in two steps, in place of run")
	return func() (int, error) {
		dir := "."
		if len(a.args) == 1 {
			dir = a.args[0]
		}
		b, err := oci.LoadBundle(dir)
		if err != nil {
			return 1, err
		}
		req := runRequest("ID", b)
		req.Start = !*create
		return 0, oci.Explain(a.stdout, req, plan.ExplainOptions{Calls: *calls})
	}
}

func cmdKill(a *app) func() (int, error) {
	all := a.flags.BoolP("all", "a", "every process of the container")
	return func() (int, error) {
		sig := unix.SIGTERM
		if len(a.args) == 2 {
			var err error
			if sig, err = parseSignal(a.args[1]); err != nil {
				return 1, err
			}
		}
		return 0, a.rt.Kill(a.args[0], sig, *all)
	}
}

// parseSignal reads TERM, SIGTERM or a number.
func parseSignal(s string) (unix.Signal, error) {
	if n, err := strconv.Atoi(s); err == nil && n >= 0 && n <= 64 {
		return unix.Signal(n), nil
	}
	name := strings.ToUpper(s)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if sig := unix.SignalNum(name); sig != 0 {
		return sig, nil
	}
	return 0, fault.New(fault.Invalid, "unknown signal %q", s)
}

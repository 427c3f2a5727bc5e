// Package libseccomp makes filters as runc and crun do, with the C library, and
// asks the kernel what a filter says and what it costs. It is for tests and
// benches: both halves are C programs that it compiles on the spot.
//
//	profile ──Library.Filter──► program ──Kernel.Ask───► what each call returned
//	                                    └─Kernel.Time──► how long calls take
//
// It shares no code with runtime/seccomp, so that the two can be compared.
package libseccomp

import (
	"bytes"
	_ "embed" // the C programs
	"encoding/binary"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

//go:embed helper/filter.c
var filterSource string

// Library makes filters with libseccomp.
type Library struct{ exe string }

// New compiles the program in dir. The error is errors.ErrUnsupported where
// the compiler or the library is not installed.
func New(dir string) (*Library, error) {
	exe, err := build(dir, "filter", filterSource, "-lseccomp")
	return &Library{exe}, err
}

// Options choose among the filters for a profile.
type Options struct {
	Machine string // GOARCH, if not this one
	// Tree is what runc asks for since 1.2 when there are many rules:
	// libseccomp then searches instead of walking.
	Tree bool
}

// Filter returns what libseccomp makes of p, fed in the way of runc, and the
// names of calls that it does not know.
func (l *Library) Filter(p *specs.LinuxSeccomp, o Options) (prog []unix.SockFilter, unknown []string, err error) {
	cmd := exec.Command(l.exe)
	cmd.Stdin = strings.NewReader(rules(p, o))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, nil, fmt.Errorf("libseccomp: %w: %s", err, errs.String())
	}
	prog = make([]unix.SockFilter, out.Len()/8)
	return prog, strings.Fields(errs.String()), binary.Read(&out, binary.NativeEndian, prog)
}

// machines are libseccomp's words for values of GOARCH.
var machines = map[string]string{"amd64": "x86_64", "arm64": "aarch64"}

// rules writes p for the program.
func rules(p *specs.LinuxSeccomp, o Options) string {
	var text strings.Builder
	def := fmt.Sprint(p.DefaultAction, " ", data(p.DefaultErrnoRet))
	fmt.Fprintf(&text, "default %s\n", def)
	if o.Machine != "" && o.Machine != runtime.GOARCH {
		fmt.Fprintf(&text, "machine %s\n", machines[o.Machine])
	}
	for _, a := range p.Architectures {
		fmt.Fprintf(&text, "arch %s\n", strings.ToLower(strings.TrimPrefix(string(a), "SCMP_ARCH_")))
	}
	if o.Tree {
		text.WriteString("tree\n")
	}
	for _, r := range p.Syscalls {
		action := fmt.Sprint(r.Action, " ", data(r.ErrnoRet))
		if same(action, def) {
			continue // libseccomp takes no rule that changes nothing
		}
		for _, name := range r.Names {
			for _, args := range conditions(r.Args) {
				fmt.Fprintf(&text, "rule %s %s%s\n", action, name, args)
			}
		}
	}
	return text.String()
}

// data is EPERM where a profile gives none.
func data(errno *uint) uint {
	if errno == nil {
		return uint(unix.EPERM)
	}
	return *errno
}

// same compares actions with their data, which most do not look at.
func same(a, b string) bool {
	kind := func(s string) string {
		name, data, _ := strings.Cut(s, " ")
		switch name {
		case string(specs.ActErrno), string(specs.ActTrace):
			return name + data
		case string(specs.ActKillThread):
			return string(specs.ActKill)
		}
		return name
	}
	return kind(a) == kind(b)
}

// conditions writes args as runc hands them over: one by one when two are about
// the same argument.
func conditions(args []specs.LinuxSeccompArg) []string {
	seen, twice := map[uint]bool{}, false
	var one []string
	for _, a := range args {
		twice = twice || seen[a.Index]
		seen[a.Index] = true
		one = append(one, fmt.Sprintf(" %d %s %d %d", a.Index, a.Op, a.Value, a.ValueTwo))
	}
	if twice {
		return one
	}
	return []string{strings.Join(one, "")}
}

// build compiles a C program.
func build(dir, name, source string, flags ...string) (string, error) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		return "", fmt.Errorf("%w: no C compiler (apt-get install gcc libc6-dev)", errors.ErrUnsupported)
	}
	exe := filepath.Join(dir, name)
	cmd := exec.Command(cc, slices.Concat([]string{"-Wall", "-O2", "-o", exe, "-x", "c", "-"}, flags)...)
	cmd.Stdin = strings.NewReader(source)
	out, err := cmd.CombinedOutput()
	switch text := string(out); {
	case err == nil:
		return exe, nil
	case strings.Contains(text, "seccomp.h:") || strings.Contains(text, "-lseccomp"):
		return "", fmt.Errorf("%w: no libseccomp (apt-get install libseccomp-dev)", errors.ErrUnsupported)
	default:
		return "", fmt.Errorf("compile %s.c: %w\n%s", name, err, text)
	}
}

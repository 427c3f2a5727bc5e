package main

import (
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
)

const ours = "berth-oci"

// behind are the programs that pass with another runtime and not with ours,
// and for which there is no known difference.
func (t table) behind() []string {
	var out []string
	for _, p := range slices.Sorted(maps.Keys(t)) {
		if t.difference(p) && deliberate[p] == "" {
			out = append(out, p)
		}
	}
	return out
}

// difference: somebody passes and we do not.
func (t table) difference(p string) bool {
	if t[p][ours].passed() {
		return false
	}
	for name, r := range t[p] {
		if name != ours && r.passed() {
			return true
		}
	}
	return false
}

// render makes docs/conformance.md.
func render(s *suite, t table) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Conformance

The validation programs of [opencontainers/runtime-tools](https://%s)
(%s) with berth-oci and, on the same machine, with Debian's runc and crun.
A cell is *yes* when no point of the program failed; else it says how many did,
or that the program came to no end. Made by

    make conform

as root on Debian 12. The suite is of the time of runtime-spec 1.0 and not free
of mistakes: below the table is why a program does not pass.

`, module, s.version)
	for _, r := range s.runtimes[1:] {
		fmt.Fprintf(&b, "%s; ", firstLine(r.path, "--version"))
	}
	fmt.Fprintf(&b, "kernel %s.\n\n", firstLine("uname", "-r"))
	b.WriteString("| program |")
	for _, r := range s.runtimes {
		fmt.Fprintf(&b, " %s |", r.name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(s.runtimes)) + "\n")
	passed := map[string]int{}
	names := slices.Sorted(maps.Keys(t))
	for _, p := range names {
		fmt.Fprintf(&b, "| %s |", p)
		for _, r := range s.runtimes {
			if t[p][r.name].passed() {
				passed[r.name]++
			}
			fmt.Fprintf(&b, " %s |", t[p][r.name].cell())
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "| **passed of %d** |", len(names))
	for _, r := range s.runtimes {
		fmt.Fprintf(&b, " **%d** |", passed[r.name])
	}
	b.WriteString("\n\n" + explain(t))
	return b.String()
}

func (r result) cell() string {
	switch {
	case r.broken != "":
		return "no: broken off"
	case r.failed > 0:
		return fmt.Sprintf("no: %d of %d", r.failed, r.failed+r.ok)
	}
	return "yes"
}

// explain lists what berth-oci does not pass.
func explain(t table) string {
	var b strings.Builder
	b.WriteString("## What berth-oci does not pass\n\n")
	for _, p := range slices.Sorted(maps.Keys(t)) {
		r := t[p][ours]
		if r.passed() {
			continue
		}
		why := deliberate[p]
		if why == "" {
			why = reasons[p]
		}
		if why == "" || t.difference(p) && deliberate[p] == "" {
			why = strings.TrimSpace("**not explained** " + r.first + " " + r.broken)
		}
		fmt.Fprintf(&b, "- `%s`: %s\n", p, why)
	}
	return b.String()
}

func firstLine(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return name + " is not there"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

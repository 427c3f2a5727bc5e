// Conform runs the validation programs of opencontainers/runtime-tools with
// berth-oci and, beside it, with Debian's runc and crun, and says who passes
// what.
//
//	go run ./test/conform                               all, as a table
//	go run ./test/conform -programs state,kill          some of them
//	go run ./test/conform -write docs/conformance.md    and keep the page
//
// The programs come through the module proxy (test/conform/tools/go.mod) and
// are built before anything else. They are run in namespaces and below a
// control group of their own (test/apart), because they leave things behind.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/berth-engine/berth/test/apart"
	"github.com/berth-engine/berth/test/fixture"
)

func main() {
	programs := flag.String("programs", "", "comma separated `names`; empty: all")
	write := flag.String("write", "", "write the page to this `file`")
	flag.Parse()
	code, err := conform(strings.FieldsFunc(*programs, func(c rune) bool { return c == ',' }), *write)
	if err != nil {
		fmt.Fprintln(os.Stderr, "conform:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func conform(programs []string, write string) (int, error) {
	s, err := build()
	if err != nil {
		return 1, err
	}
	if len(programs) > 0 {
		s.programs = programs
	}
	return apart.Run(apart.Options{Dir: os.TempDir(), Groups: true}, func(scratch string) int {
		table, err := s.run(scratch)
		if err == nil {
			page := render(s, table)
			fmt.Print(page)
			if write != "" {
				err = os.WriteFile(write, []byte(page), 0o644)
			}
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "conform:", err)
			return 1
		}
		if behind := table.behind(); len(behind) > 0 {
			fmt.Fprintln(os.Stderr, "conform: others pass:", strings.Join(behind, " "))
			return 1
		}
		return 0
	})
}

// runtimes are who is tested: ours first.
func runtimes() ([]contender, error) {
	bin, err := fixture.Build()
	if err != nil {
		return nil, err
	}
	return []contender{{"berth-oci", bin.OCI}, {"runc", "runc"}, {"crun", "crun"}}, nil
}

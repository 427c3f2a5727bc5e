// Report runs go test and tells what it did in a form that fits a screen:
// go test's own line for each package, the output of what failed, the reasons
// of all skips with their number, and the sums.
//
//	go run ./test/report [go test's arguments]
//
// go test by itself hides why tests were skipped, unless it shows everything.
package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/berth-engine/berth/test/gotest"
)

func main() {
	code, err := run(os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		code = 1
	}
	os.Exit(code)
}

func run(args []string, w io.Writer) (code int, err error) {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	r := newReport(w)
	read := r.read(out)
	r.end()
	if err := cmd.Wait(); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			return 0, err
		}
		return exit.ExitCode(), read
	}
	return 0, read
}

// report collects the events of one run.
type report struct {
	w       io.Writer
	output  map[string][]string // of tests that run, by package and name
	skipped map[string]int      // number of tests by reason
	tests   map[string]int      // number of tests by how they ended
	pkgs    map[string]int      // number of packages by how they ended
}

func newReport(w io.Writer) *report {
	return &report{w, make(map[string][]string), make(map[string]int), make(map[string]int), make(map[string]int)}
}

func (r *report) read(in io.Reader) error {
	return gotest.Read(in, r.take, func(line string) error {
		fmt.Fprintln(r.w, line)
		return nil
	})
}

func (r *report) take(e gotest.Event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.w, e.Output)
	case "output":
		if e.Test != "" && !strings.HasPrefix(e.Output, "=== ") {
			r.output[key] = append(r.output[key], e.Output)
		} else if e.Test == "" && e.Output != "PASS\n" && e.Output != "FAIL\n" {
			fmt.Fprint(r.w, e.Output)
		}
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.pkgs[e.Action]++
			return
		}
		r.tests[e.Action]++
		switch e.Action {
		case "fail":
			fmt.Fprint(r.w, strings.Join(r.output[key], ""))
		case "skip":
			r.skipped[gotest.Reason(r.output[key])]++
		}
		delete(r.output, key)
	}
}

func (r *report) end() {
	if len(r.skipped) > 0 {
		fmt.Fprintln(r.w, "\nskipped:")
		most := slices.SortedFunc(maps.Keys(r.skipped), func(a, b string) int {
			return cmp.Or(r.skipped[b]-r.skipped[a], strings.Compare(a, b))
		})
		for _, why := range most {
			fmt.Fprintf(r.w, "%5d  %s\n", r.skipped[why], why)
		}
	}
	fmt.Fprintf(r.w, "\npackages: %d ok, %d failed, %d without tests; tests: %d ok, %d failed, %d skipped\n",
		r.pkgs["pass"], r.pkgs["fail"], r.pkgs["skip"], r.tests["pass"], r.tests["fail"], r.tests["skip"])
}

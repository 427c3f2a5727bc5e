package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/berth-engine/berth/test/apart"
	"github.com/berth-engine/berth/test/fixture"
)

// scratch is set inside the namespaces.
var scratch string

func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		os.Exit(m.Run()) // the tests say why they skip
	}
	if !apart.Inside() { // inside there is no network
		_, _ = build() // the test says what is lacking
	}
	code, err := apart.Run(apart.Options{Dir: os.TempDir(), Groups: true}, func(dir string) int {
		scratch = dir
		return m.Run()
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// TestConform: whatever passes with runc or crun passes with berth-oci, and
// what does not has a reason.
func TestConform(t *testing.T) {
	fixture.Root(t)
	fixture.Need(t, "runc", "crun")
	fixture.Binaries(t)
	s, err := build()
	switch {
	case err != nil && os.Getenv("CI") == "true":
		t.Fatal(err)
	case err != nil:
		t.Skipf("no validation programs: %v", err)
	}
	results, err := s.run(scratch)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range results.behind() {
		r := results[p][ours]
		t.Errorf("%s: passes with another runtime, not with ours: %s %s", p, r.first, r.broken)
	}
	if page := explain(results); strings.Contains(page, "not explained") {
		t.Errorf("add a line to reasons.go:\n%s", page)
	}
}

func TestParseTAP(t *testing.T) {
	got := parseTAP("TAP version 13\nok 1 - a\nnot ok 2 - b c\n  ---\n  {\"x\": 1}\n  ...\nok 3 # SKIP d\nnot ok 4 - e # TODO later\nnot ok 5 - f\n1..5\n")
	want := result{ok: 1, failed: 2, skipped: 2, first: "b c"}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got.passed() || !(result{}).passed() || (result{broken: "x"}).passed() {
		t.Error("passed")
	}
}

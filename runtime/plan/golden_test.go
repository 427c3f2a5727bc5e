package plan

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/internal/mount"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// goldenFacts are a hybrid machine as seen from a clean shell.
func goldenFacts() Facts {
	return Facts{
		RootPath: "/bundle/rootfs", LastCap: 40, Files: 4096, Arch: "amd64",
		Doors: []Door{{"cpu", "/sys/fs/cgroup/cpu/c1"}, {"memory", "/sys/fs/cgroup/memory/c1"}}, IntoCgroup: true, LowerAppend: true, NetAhead: true,
		Cgroups: []CgroupView{
			{Name: "cpu,cpuacct", Dir: "/sys/fs/cgroup/cpu/c1", Link: "cpu"},
			{Name: "memory", Dir: "/sys/fs/cgroup/memory/c1"},
		},
		SourceIsDir: map[string]bool{"/host/data": true, "/host/hosts": false},
	}
}

func readSpec(t *testing.T, name string) *specs.Spec {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var s specs.Spec
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

func TestGolden(t *testing.T) {
	overlay := []mount.Mount{{Type: "overlay", Source: "overlay", Options: []string{"lowerdir=/s/l/B:/s/l/A", "upperdir=/s/c1/diff", "workdir=/s/c1/work", "index=off"}}}
	for _, tt := range []struct {
		name, spec string
		root       []mount.Mount
		facts      func(*Facts)
	}{
		{"default", "default.json", overlay, func(f *Facts) { f.ParentAt = []Point{Grouped, Rooted} }},
		{"created", "default.json", nil, func(f *Facts) { f.ParentAt = []Point{Rooted, Ready}; f.AwaitStart = true; f.Preserve = 2 }},
		{"userns", "userns.json", nil, func(f *Facts) { f.ParentAt = []Point{Grouped, Born} }},
		{"moved", "joined.json", nil, func(f *Facts) { f.NoPivot, f.Bare = true, []string{"/proc", "/sys"} }},
		{"unmounted", "unmounted.json", nil, func(f *Facts) {}},
		{"machine", "machine.json", nil, func(f *Facts) {}},
		{"shared", "shared.json", nil, func(f *Facts) { f.RootMount, f.Doors = "/bundle", nil }},
		{"mapped", "mapped.json", nil, func(f *Facts) { f.ParentAt, f.AwaitStart, f.Doors = []Point{Born, Ready}, true, nil }},
		{"joined", "joined.json", nil, func(f *Facts) { f.Cgroups = []CgroupView{{Dir: "/sys/fs/cgroup/c1"}}; f.Doors = nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := goldenFacts()
			tt.facts(&f)
			p, err := Compile(readSpec(t, tt.spec), tt.root, f)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, tt.name, p)
		})
	}
}

func TestGoldenJoin(t *testing.T) {
	s := readSpec(t, "userns.json")
	s.Process.Terminal = true
	f := JoinFacts{Facts: goldenFacts(), Namespaces: 0x20000000 | 0x00020000 | 0x40000000 | 0x10000000, Seccomp: s.Linux.Seccomp, Who: "c1"}
	f.ParentAt = []Point{Rooted}
	p, err := Join(s.Process, f)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "exec", p)
}

// golden compares the explanation of p with testdata/NAME.txt.
func golden(t *testing.T, name string, p *Plan) {
	t.Helper()
	var got bytes.Buffer
	if err := p.Explain(&got, ExplainOptions{Calls: true}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got.String(), "\n")); diff != "" {
		t.Errorf("%s (run with -update and review):\n%s", file, diff)
	}
}

package rules

import (
	"slices"
	"strings"
	"testing"
)

// floors says what each package may import besides the standard library: our
// own packages by their path below the root, others by their module's path.
// The first line that names a package counts. A line may use the words
// defined above it. From the bottom up, as in docs/architecture.md.
const floors = `
$spec  = github.com/opencontainers/runtime-spec/specs-go/...
$image = image/digest image/ocispec
$sys   = golang.org/x/sys/unix
$sync  = golang.org/x/sync/errgroup

# Stones: the standard library, x/sys and fault.
internal/fault:
internal/rules:
internal/merged: internal/fault internal/mount internal/under $sys
internal/disk: internal/fault internal/jsontext internal/kernel
internal/...: internal/fault $sys

# One container. What a plan is made of is below it, its execution above.
$stones = internal/fault internal/cleanup internal/disk internal/jsontext internal/mount internal/kernel internal/under internal/merged
runtime/seccomp: internal/fault internal/jsontext $spec
runtime/cgroup/systemd: internal/fault $sys
runtime/cgroup:  $stones $spec $sys runtime/cgroup/systemd
runtime/resctrl: internal/fault internal/cleanup internal/mount $spec $sys
runtime/plan:    $stones $spec $sys runtime/seccomp runtime/cgroup runtime/resctrl
runtime/launch:  $stones $spec $sys runtime/plan
runtime/criu:    internal/fault internal/cleanup internal/disk internal/kernel internal/scrap $sys
runtime/oci:     $stones $spec $sys runtime/seccomp runtime/cgroup runtime/resctrl runtime/plan runtime/launch runtime/criu github.com/moby/sys/...

# Rooms: stones, and what is below them in the same room.
snapshot:           $stones $sys
snapshot/...:       $stones $sys snapshot snapshot/snaptest
image/digest:
image/ocispec:      image/digest
image/layer/codec:  internal/fault github.com/klauspost/compress/...
image/blob:         $stones $sys $image $sync
image/registry:     $stones $image $sync image/blob oras.land/oras-go/v2/... github.com/distribution/reference golang.org/x/net/publicsuffix
image/layer:        $stones $sys $image $sync image/blob github.com/moby/sys/...
image/courier:      $stones $image image image/layer internal/scrap
image:              $stones $sys $image $sync image/blob image/layer snapshot
container:          $stones $sys
container/logfile:  $stones $sys
container/bundle:   $stones $spec $image container runtime/seccomp github.com/moby/sys/... github.com/docker/go-units
container/monitor:  $stones $sys $spec container container/monitor/internal/...
container/monitor/internal/...: $stones $sys $spec container
container/monitor/server: $stones $sys $spec container container/logfile container/monitor container/monitor/internal/...

# Use cases, then the commands.
engine/detach: $stones
engine:        $stones $sys $spec $image $sync engine/... snapshot/... image/... container/... runtime/... github.com/distribution/reference github.com/moby/sys/... github.com/docker/go-units
$words = github.com/spf13/... github.com/docker/go-units github.com/moby/sys/... golang.org/x/term
cmd/berth: internal/brisk cmd/berth/cli
cmd/berth/format:  $stones $words
cmd/berth/request: $stones $words container github.com/distribution/reference
cmd/berth/tty:     $stones $words $sys internal/sigpipe
cmd/berth/...: engine/... image container/... $stones $spec $image $sys $words cmd/berth/... github.com/distribution/reference
cmd/berth-oci: internal/brisk runtime/... container container/monitor container/monitor/server internal/sigpipe $stones $spec $sys $words
cmd/berth-registry: $stones $words image image/courier image/layer/codec image/registry snapshot snapshot/overlay
cmd/berth-criu: $stones $words $sys runtime/criu github.com/checkpoint-restore/go-criu/v8/rpc
cmd/berth-doc: $words cmd/berth/cli

# Tests may use anything.
test/...: ` + module + `/... ...
`

// forbidden lists what a program must not contain, however it gets there.
var forbidden = []struct{ program, dep, why string }{
	{"cmd/berth-oci", "net/http", "it forks payloads: its memory is copied for each and must stay small"},
	{"cmd/berth-oci", "crypto/tls", "it holds no secrets, so it needs no way to move them"},
	{"cmd/berth-oci", module + "/image/registry", "the runtime knows bundles, not images"},
	{"cmd/berth-oci", module + "/engine", "the engine starts the runtime, not the other way round"},
	{"cmd/berth", "net/http", "berth-registry speaks it: its tables would cost every start of every command"},
	{"cmd/berth", "crypto/tls", "it starts containers, so it reads nothing from the network"},
	{"cmd/berth", module + "/image/registry", "it holds nobody's credentials; berth-registry does"},
	{"cmd/berth", "oras.land/oras-go/v2/registry", "it compiles regular expressions whenever a program starts"},
	{"cmd/berth", "github.com/opencontainers/go-digest", "it compiles regular expressions whenever a program starts"},
	{"cmd/berth", "github.com/opencontainers/image-spec/specs-go/v1", "it brings go-digest"},
	{"cmd/berth", module + "/image/layer/codec", "its tables are made whenever a program starts; berth-registry has it"},
	{"cmd/berth", "compress/flate", "what unpacks layers is in berth-registry"},
	{"cmd/berth-oci", "github.com/checkpoint-restore/go-criu/v8/rpc", "berth-criu speaks with CRIU: protobuf would cost every start of a container"},
	{"cmd/berth", "github.com/checkpoint-restore/go-criu/v8/rpc", "berth-criu speaks with CRIU"},
	{"cmd/berth", "compress/gzip", "what unpacks layers is in berth-registry"},
	{"cmd/berth", "compress/bzip2", "what unpacks layers is in berth-registry"},
	{"cmd/berth", "github.com/klauspost/compress/flate", "what unpacks layers is in berth-registry"},
	{"cmd/berth", "github.com/klauspost/compress/zstd", "what unpacks layers is in berth-registry"},
	{"cmd/berth-oci", "text/template", "reflection over methods keeps every method of every type"},
}

// pure packages turn values into values, so that they can be tested, printed
// and fuzzed without a kernel.
var pure = []string{"runtime/plan", "runtime/seccomp", "container/bundle"}

func TestImportsGoDown(t *testing.T) {
	table := parseFloors(t, floors)
	used := make(map[int]bool)
	for _, p := range packages(t) {
		line := slices.IndexFunc(table, func(f floor) bool { return match(f.pkg, p.name()) })
		if line < 0 {
			t.Errorf("%s stands on no floor: add it to internal/rules/imports_test.go and docs/architecture.md", p.name())
			continue
		}
		used[line] = true
		for _, imp := range p.Imports {
			if !std(imp) && !table[line].allows(short(imp)) {
				t.Errorf("%s imports %s, which its floor (%s) does not list", p.name(), short(imp), table[line].pkg)
			}
		}
	}
	for i, f := range table {
		if !used[i] {
			t.Errorf("there is no package on the floor %s any more", f.pkg)
		}
	}
}

func TestProgramsStaySmall(t *testing.T) {
	for _, p := range packages(t) {
		for _, f := range forbidden {
			if p.name() == f.program && slices.Contains(p.Deps, f.dep) {
				t.Errorf("%s contains %s: %s", f.program, short(f.dep), f.why)
			}
		}
	}
}

func TestPurePackages(t *testing.T) {
	for _, p := range packages(t) {
		if !slices.Contains(pure, p.name()) {
			continue
		}
		for _, imp := range p.Imports {
			switch first, _, _ := strings.Cut(imp, "/"); first {
			case "os", "syscall", "net", "time", "io/fs":
				t.Errorf("%s is pure but imports %s", p.name(), imp)
			}
		}
	}
}

// floor is a line of floors.
type floor struct {
	pkg string
	may []string
}

func (f floor) allows(imp string) bool {
	return slices.ContainsFunc(f.may, func(pattern string) bool {
		return pattern == "..." || match(pattern, imp)
	})
}

func parseFloors(t *testing.T, text string) []floor {
	t.Helper()
	words := make(map[string][]string)
	expand := func(list string) []string {
		var out []string
		for _, w := range strings.Fields(list) {
			if strings.HasPrefix(w, "$") {
				if words[w] == nil {
					t.Fatalf("floors: %s is used before it is defined", w)
				}
				out = append(out, words[w]...)
				continue
			}
			out = append(out, w)
		}
		return out
	}
	var table []floor
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch name, list, isWord := strings.Cut(line, " = "); {
		case line == "" || strings.HasPrefix(line, "#"):
		case isWord || strings.HasPrefix(line, "$"):
			words[strings.TrimSpace(name)] = expand(list)
		default:
			pkg, list, ok := strings.Cut(line, ":")
			if !ok {
				t.Fatalf("floors: no colon in %q", line)
			}
			table = append(table, floor{pkg, expand(list)})
		}
	}
	return table
}

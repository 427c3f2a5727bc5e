package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-engine/berth/test/fixture"
)

// TestMakeRunShowsAContainer runs what `make run` runs.
func TestMakeRunShowsAContainer(t *testing.T) {
	fixture.Root(t)
	look, err := filepath.Abs("../look.sh")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), look, fixture.Binaries(t).Berth).CombinedOutput()
	if err != nil {
		t.Fatalf("look.sh: %v\n%s", err, out)
	}
	text := string(out)
	for _, want := range []string{"pid          1 of", "hostname     aboard", "mnt", "pid", "overlay over"} {
		if !strings.Contains(text, want) {
			t.Errorf("the container does not show %q; it shows:\n%s", want, text)
		}
	}
}

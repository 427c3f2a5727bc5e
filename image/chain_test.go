package image

import (
	"testing"

	godigest "github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"

	"github.com/berth-engine/berth/image/digest"
)

func TestChainAgrees(t *testing.T) {
	var ours []digest.Digest
	var theirs []godigest.Digest
	for _, s := range []string{"a", "b", "c", "d"} {
		ours, theirs = append(ours, digest.FromString(s)), append(theirs, godigest.FromString(s))
	}
	for n := range len(ours) + 1 {
		want := identity.ChainIDs(append([]godigest.Digest(nil), theirs[:n]...))
		got := chainOf(ours[:n])
		for i := range want {
			if string(got[i]) != want[i].Encoded() {
				t.Errorf("layer %d of %d: %s, want %s", i+1, n, got[i], want[i].Encoded())
			}
		}
	}
}

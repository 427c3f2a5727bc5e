package cli

import "testing"

func BenchmarkTree(b *testing.B) {
	for b.Loop() {
		newApp("", Stdio{}).tree([]string{"run", "--rm", "host", "true"})
	}
}

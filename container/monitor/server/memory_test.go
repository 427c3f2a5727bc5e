package server

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/berth-engine/berth/container/monitor"
)

// maxPSS is what an idle monitor may cost when there are many, in KiB.
const maxPSS = 1536

// Fifty idle monitors of the same binary. It is the test binary: what the
// tests of this package import counts, too (go-cmp alone would be 0.5 MiB).
func TestIdleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("starts fifty monitors")
	}
	const n = 50
	var boxes []*box
	for range n {
		b := newBox(t, func(c *monitor.Config) { c.OpenStdin = true }, "/bin/sleep", "600")
		c := b.start(monitor.AttachOptions{})
		boxes = append(boxes, b)
		c.Close()
	}
	var total, worst, threads int
	measure := func() int {
		total, worst, threads = 0, 0, 0
		for _, b := range boxes {
			pid := b.status().MonitorPid
			pss := field(t, fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss:")
			total, worst = total+pss, max(worst, pss)
			threads += field(t, fmt.Sprintf("/proc/%d/status", pid), "Threads:")
		}
		return total / n
	}
	// Memory is given back a while after the start: wait until nothing changes.
	end := time.Now().Add(15 * time.Second)
	for last := 0; time.Now().Before(end); time.Sleep(2 * quietFor) {
		now := measure()
		if now == last && now <= maxPSS {
			break
		}
		last = now
	}
	rollup := fmt.Sprintf("/proc/%d/smaps_rollup", boxes[0].status().MonitorPid)
	t.Logf("%d monitors: mean PSS %d KiB, worst %d KiB, %d threads each (%s); of one: %d KiB anonymous, %d KiB of files",
		n, total/n, worst, threads/n, runtime.Version(), field(t, rollup, "Pss_Anon:"), field(t, rollup, "Pss_File:"))
	if total/n > maxPSS {
		t.Errorf("mean PSS %d KiB, at most %d", total/n, maxPSS)
	}
}

// field reads a number behind name in a file of /proc.
func field(t *testing.T, path, name string) int {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			var n int
			if _, err := fmt.Sscan(rest, &n); err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("%s: no %s", path, name)
	return 0
}

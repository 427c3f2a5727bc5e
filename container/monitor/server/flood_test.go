package server

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/logfile"
	"github.com/berth-engine/berth/container/monitor"
)

// A million lines, 100 MB: a follower sees each once and in order, to the
// last, and the monitor stays small.
func TestFollowHundredMegabytes(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 100 MB")
	}
	const n = 1_000_000 // of 101 bytes
	b := newBox(t, func(c *monitor.Config) { c.LogMaxFile = 20 }, exe(t), "lines", fmt.Sprint(n))
	c := b.start(monitor.AttachOptions{})
	waited := make(chan error, 1)
	go func() { // now: a monitor does not stay for who reads behind it
		_, err := c.Wait(t.Context())
		waited <- err
	}()
	pid := b.status().MonitorPid
	next, peak := 0, 0
	began := time.Now()
	ended := func() bool { return b.status().State == container.Exited }
	err := logfile.Read(t.Context(), b.cfg.LogFile, logfile.ReadOptions{Follow: true, Ended: ended}, func(e logfile.Entry) error {
		if want := fmt.Appendf(nil, "%09d ", next); e.Gap || !bytes.HasPrefix(e.Line, want) {
			return fmt.Errorf("line %.20q (gap %v), want %q", e.Line, e.Gap, want)
		}
		if next++; next == n/2 && b.status().MonitorPid == pid {
			peak = field(t, fmt.Sprintf("/proc/%d/status", pid), "VmHWM:")
		}
		return nil
	})
	if err != nil || next != n {
		t.Fatalf("%d lines, %v", next, err)
	}
	t.Logf("%.0f MB/s; the monitor's peak is %d KiB", n*101/1e6/time.Since(began).Seconds(), peak)
	if peak > 16<<10 {
		t.Errorf("the monitor grew to %d KiB", peak)
	}
	select {
	case err := <-waited:
		if err != nil {
			t.Error(err)
		}
	case <-soon(t).Done():
		t.Error("the end was not told")
	}
}

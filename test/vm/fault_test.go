package vm

import "testing"

func TestEmulatorFault(t *testing.T) {
	for _, tt := range []struct {
		console string
		want    bool
	}{
		{"[   20.497419] Oops: int3: 0000 [#1] PREEMPT SMP NOPTI\n[   20.504353] Kernel panic - not syncing: Fatal exception in interrupt", true},
		{"[   20.497419] Oops: general protection fault: 0000 [#1] PREEMPT SMP\n[   20.504353] Kernel panic - not syncing: Fatal exception", false},
		{"--- FAIL: TestLife", false},
	} {
		if got := emulatorFault(tt.console); got != tt.want {
			t.Errorf("%q: %v", tt.console, got)
		}
	}
}

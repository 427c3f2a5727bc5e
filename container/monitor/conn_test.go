package monitor

import (
	"errors"
	"syscall"
	"testing"
)

// Whenever the monitor goes, before, while or after a request is sent, the
// caller hears the same.
func TestCallWhileTheMonitorGoes(t *testing.T) {
	for range 2000 {
		pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		c, err := newConn(pair[0])
		if err != nil {
			t.Fatal(err)
		}
		closed := make(chan struct{})
		go func() {
			syscall.Close(pair[1])
			close(closed)
		}()
		if err := c.Signal(t.Context(), syscall.SIGTERM); !errors.Is(err, ErrGone) {
			t.Fatalf("got %v, want %v", err, ErrGone)
		}
		c.Close()
		<-closed
	}
}

package kernel

import (
	"errors"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Whether a goroutine gets the main thread is chance: with one processor, and
// somebody who blocks on it, often.
func TestApart(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	fine := errors.New("as expected")
	for range 2000 {
		err := Apart(func() error {
			if unix.Gettid() == os.Getpid() {
				return errors.New("on the main thread, which Go keeps and which /proc/self shows")
			}
			return fine
		})
		if !errors.Is(err, fine) {
			t.Fatal(err)
		}
		runtime.Gosched()
	}
}

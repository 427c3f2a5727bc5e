package kernel

import (
	"errors"
	"syscall"
)

// Retry repeats a call that a signal interrupted.
func Retry(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}

package libseccomp

import (
	"bytes"
	_ "embed" // the C program
	"encoding/binary"
	"fmt"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

//go:embed helper/kernel.c
var kernelSource string

// Kernel puts processes under filters.
type Kernel struct{ exe string }

// NewKernel compiles the program in dir. The error is errors.ErrUnsupported
// where there is no compiler.
func NewKernel(dir string) (*Kernel, error) {
	exe, err := build(dir, "kernel", kernelSource)
	return &Kernel{exe}, err
}

// A Call is a system call to make.
type Call struct {
	Nr   int32
	Arch uint32 // AUDIT_ARCH_; the machine's own, or i386 on amd64
	Args [6]uint64
}

// Ask makes all calls in one process under prog and says what each returned.
// They happen if prog lets them: a prog that answers all calls with an errno
// can be asked anything.
func (k *Kernel) Ask(prog []unix.SockFilter, calls []Call) ([]int64, error) {
	answers := make([]int64, len(calls))
	return answers, k.run("ask", prog, calls, 0, answers)
}

// Time makes the calls repeat times in a process under prog, which must let the
// process write and exit, and says how long that takes when nothing disturbs.
// No prog is no filter.
func (k *Kernel) Time(prog []unix.SockFilter, calls []Call, repeat int) (time.Duration, error) {
	took := make([]int64, 1)
	err := k.run("time", prog, calls, repeat, took)
	return time.Duration(took[0]), err
}

// Install says how long the kernel takes to install prog in a new process, which
// it must let write and exit.
func (k *Kernel) Install(prog []unix.SockFilter) (time.Duration, error) {
	took := make([]int64, 1)
	err := k.run("install", prog, nil, 0, took)
	return time.Duration(took[0]), err
}

func (k *Kernel) run(what string, prog []unix.SockFilter, calls []Call, repeat int, answer []int64) error {
	var in, out, errs bytes.Buffer
	for _, part := range []any{uint32(len(prog)), prog, uint32(len(calls)), calls, uint32(repeat)} {
		if err := binary.Write(&in, binary.NativeEndian, part); err != nil {
			return err
		}
	}
	cmd := exec.Command(k.exe, what)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &in, &out, &errs
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s the kernel: %w: %s", what, err, errs.String())
	}
	return binary.Read(&out, binary.NativeEndian, answer)
}

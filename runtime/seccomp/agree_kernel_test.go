package seccomp

import (
	"runtime"
	"slices"
	"testing"

	"github.com/berth-engine/berth/test/libseccomp"
	"golang.org/x/sys/unix"
)

// TestKernelAgrees asks the kernel what the filters for the corpus say, ours
// and libseccomp's, and compares with Simulate. So that anything may be asked,
// verdicts are first turned into errnos: no call ever happens. It takes turns
// asking a third of the calls.
func TestKernelAgrees(t *testing.T) {
	l := library(t)
	k, err := libseccomp.NewKernel(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0); err != nil {
		t.Skipf("the kernel has no seccomp: %v", err)
	}
	compat := runs32(k)
	if !compat {
		t.Log("without calls of i386: the kernel runs no 32-bit programs")
	}
	asked := 0
	for n, s := range corpus(t) {
		if s.arch != runtime.GOARCH {
			continue
		}
		calls := callable(boundaries(s), compat)
		c := compare(t, l, s)
		for i, prog := range [][]Insn{c.ourProg, c.theirProg} {
			some := every(3, n+i, calls)
			askKernel(t, k, s, prog, some)
			asked += len(some)
		}
	}
	t.Logf("%d calls", asked)
}

// every picks one of n calls, which ones depends on turn.
func every(n, turn int, calls []Data) []Data {
	var out []Data
	for i := turn % n; i < len(calls); i += n {
		out = append(out, calls[i])
	}
	return out
}

// runs32 reports whether this kernel lets a process make calls of i386.
func runs32(k *libseccomp.Kernel) bool {
	deny := []unix.SockFilter{{Code: opRet, K: retErrno | eNoSys}}
	_, err := k.Ask(deny, []libseccomp.Call{{Arch: auditArch[i386]}})
	return err == nil
}

// callable keeps the calls that a process of this machine can make, with the
// arguments that the kernel will see. The two that the kernel's probes make are
// let through without asking a filter, since Linux 6.14, and end who makes them.
func callable(calls []Data, compat bool) []Data {
	var out []Data
	for _, d := range calls {
		switch {
		case d.Arch == auditArch[i386] && compat:
			for i := range d.Args {
				d.Args[i] = uint64(uint32(d.Args[i]))
			}
			out = append(out, d)
		case d.Arch == auditArch[amd64] && refName(amd64, d.Nr) != "uprobe" && refName(amd64, d.Nr) != "uretprobe":
			out = append(out, d)
		}
	}
	return out
}

func askKernel(t *testing.T, k *libseccomp.Kernel, s sample, prog []Insn, calls []Data) {
	t.Helper()
	coded, verdicts := asErrnos(t, prog)
	ask := make([]libseccomp.Call, len(calls))
	for i, d := range calls {
		ask[i] = libseccomp.Call{Nr: d.Nr, Arch: d.Arch, Args: d.Args}
	}
	answers, err := k.Ask(coded, ask)
	if err != nil {
		t.Fatalf("%v\n%s", err, s)
	}
	for i, d := range calls {
		want, err := Simulate(prog, d)
		if err != nil {
			t.Fatal(err)
		}
		if e := -answers[i]; e <= 0 || int(e) > len(verdicts) || verdicts[e-1] != want {
			t.Fatalf("%+v returned %d, Simulate says %s\n%s", d, answers[i], Verdict(want), s)
		}
	}
}

// asErrnos replaces each verdict of prog by an errno, its place in verdicts
// plus one.
func asErrnos(t *testing.T, prog []Insn) (coded []unix.SockFilter, verdicts []uint32) {
	t.Helper()
	for _, in := range prog {
		if in.Code == opRet {
			i := slices.Index(verdicts, in.K)
			if i < 0 {
				i = len(verdicts)
				verdicts = append(verdicts, in.K)
			}
			in.K = retErrno | uint32(i+1)
		}
		coded = append(coded, unix.SockFilter(in))
	}
	if len(verdicts) > maxErrno {
		t.Fatal("more verdicts than errnos")
	}
	return coded, verdicts
}

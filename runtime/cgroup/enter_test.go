package cgroup

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// childEnv makes the test program a child that goes through the doors it got
// from descriptor 3 on and prints how many nanoseconds that took.
const childEnv = "BERTH_TEST_DOORS"

func TestMain(m *testing.M) {
	if Hold(os.Args) {
		return
	}
	if n, err := strconv.Atoi(os.Getenv(childEnv)); err == nil {
		throughDoors(n)
		return
	}
	os.Exit(m.Run())
}

func throughDoors(n int) {
	runtime.LockOSThread()
	began := time.Now()
	for i := range n {
		if _, err := unix.Write(3+i, []byte("0")); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(time.Since(began).Nanoseconds())
}

// BenchmarkEnter compares the ways into v1 groups; see the decision record
// 011-cgroup-entry. ns/op means nothing here: it has the start of the child in
// it, and a rest after which the kernel has left the state in which moving
// processes is cheap, as it has between two starts of containers.
func BenchmarkEnter(b *testing.B) {
	g := newGroup(b)
	if g.unified() != nil {
		g.trees = g.trees[:len(g.trees)-1]
	}
	if err := g.Create(nil); err != nil {
		b.Fatal(err)
	}
	rest := func() { time.Sleep(30 * time.Millisecond) }
	report := func(b *testing.B, took []int64) {
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2]), "ns-median")
		b.ReportMetric(float64(took[len(took)*9/10]), "ns-p90")
		b.ReportMetric(float64(took[len(took)-1]), "ns-max")
	}
	child := func(b *testing.B, doors []*os.File) int64 {
		cmd := exec.CommandContext(b.Context(), "/proc/self/exe")
		cmd.Env = append(os.Environ(), childEnv+"="+strconv.Itoa(len(doors)))
		cmd.ExtraFiles = doors
		out, err := cmd.Output()
		if err != nil {
			b.Fatal(err)
		}
		ns, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		return ns
	}
	files := func(b *testing.B, name string) (out []*os.File) {
		for i := range g.trees {
			f, err := os.OpenFile(g.trees[i].path+"/"+name, os.O_WRONLY, 0)
			if err != nil {
				b.Fatal(err)
			}
			out = append(out, f)
		}
		return out
	}
	for _, name := range []string{"tasks", "cgroup.procs"} {
		b.Run("child writes 0 to "+name, func(b *testing.B) {
			var took []int64
			for b.Loop() {
				rest()
				doors := files(b, name)
				took = append(took, child(b, doors))
				for _, d := range doors {
					d.Close()
				}
			}
			report(b, took)
		})
	}
	b.Run("parent writes pid to cgroup.procs", func(b *testing.B) {
		var took []int64
		for b.Loop() {
			rest()
			cmd := exec.CommandContext(b.Context(), "sleep", "100")
			if err := cmd.Start(); err != nil {
				b.Fatal(err)
			}
			began := time.Now()
			if err := g.Enter(cmd.Process.Pid); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(began).Nanoseconds())
			cmd.Process.Kill()
			cmd.Wait()
		}
		report(b, took)
	})
}

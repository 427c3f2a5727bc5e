package cgroup

import (
	"context"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func fresh() context.Context { return context.Background() }

func limits() *specs.LinuxResources {
	return &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: ptr(int64(64 << 20)), Swap: ptr(int64(64 << 20))},
		CPU:    &specs.LinuxCPU{Shares: ptr(uint64(512)), Quota: ptr(int64(50000)), Period: ptr(uint64(100000))},
		Pids:   &specs.LinuxPids{Limit: ptr(int64(100))},
	}
}

func BenchmarkLife(b *testing.B) {
	g := newGroup(b)
	name := "/" + filepath.Base(g.trees[0].path)
	for b.Loop() {
		l, err := Detect()
		if err != nil {
			b.Fatal(err)
		}
		m, err := l.Manager(name)
		if err != nil {
			b.Fatal(err)
		}
		if err := m.Create(limits()); err != nil {
			b.Fatal(err)
		}
		doors, err := m.Doors()
		if err != nil {
			b.Fatal(err)
		}
		for _, d := range doors {
			d.Close()
		}
		if err := m.Remove(fresh()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDetect(b *testing.B) {
	for b.Loop() {
		if _, err := Detect(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkKernel is what the kernel alone takes for the directories, to
// subtract from BenchmarkLife.
func BenchmarkKernel(b *testing.B) {
	g := newGroup(b)
	for b.Loop() {
		for i := range g.trees {
			if err := unix.Mkdir(g.trees[i].path, 0o755); err != nil {
				b.Fatal(err)
			}
		}
		for i := range g.trees {
			if err := unix.Rmdir(g.trees[i].path); err != nil {
				b.Fatal(err)
			}
		}
	}
}

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestFiveHundred: eight workers create, start and delete containers, half of
// which end by themselves, while the others do the same. Nobody gets into
// another's way, and nothing is left: newShell's ledger looks, too.
func TestFiveHundred(t *testing.T) {
	const containers, workers = 500, 8
	s := newShell(t, "")
	bundles := [2]string{s.bundle, t.TempDir()}
	if err := os.Symlink(filepath.Join(s.bundle, "rootfs"), filepath.Join(bundles[1], "rootfs")); err != nil {
		t.Fatal(err)
	}
	s.edit(func(p *specs.Spec) { p.Process.Args = []string{"sleep", "1000"} })
	s.bundle = bundles[1]
	s.edit(func(p *specs.Spec) { p.Process.Args = []string{"true"} })

	todo := make(chan int)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for n := range todo {
				if err := s.life(n, bundles[n%2]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for n := range containers {
		todo <- n
	}
	close(todo)
	wg.Wait()

	if listed := s.want(0, "", "list", "-q"); listed != "" {
		t.Errorf("listed: %q", listed)
	}
	left, err := os.ReadDir(s.root)
	if err != nil || len(left) > 0 {
		t.Errorf("in the runtime's directory: %v, %v", left, err)
	}
}

// life takes a container from create to delete.
func (s *shell) life(n int, bundle string) error {
	id := s.id + "-" + strconv.Itoa(n)
	log := filepath.Join(s.work, id+".log")
	for _, args := range [][]string{{"create", "-b", bundle, id}, {"start", id}, {"delete", "--force", id}} {
		// Its streams are the container's, who must not hold a pipe of ours.
		cmd := exec.Command(s.exe, append([]string{"--root", s.root, "--log", log}, args...)...)
		if err := cmd.Run(); err != nil {
			said, _ := os.ReadFile(log)
			return fmt.Errorf("%v: %w: %s", args, err, said)
		}
	}
	return nil
}

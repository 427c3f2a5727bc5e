package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/berth-engine/berth/test/apart"
)

// table is what came out: by program, then by runtime's name.
type table map[string]map[string]result

// workers is how many programs run at a time, beside one that shares groups.
// Most of them wait most of the time.
const workers = 3

// run gives every program to every runtime.
func (s *suite) run(scratch string) (table, error) {
	// Containers with mapped users go through it.
	if err := os.Chmod(scratch, 0o711); err != nil {
		return nil, err
	}
	if err := apart.HideControllers(scratch); err != nil {
		return nil, err
	}
	t := table{}
	var mu sync.Mutex // of t
	give := func(programs <-chan string) {
		for p := range programs {
			for _, r := range s.runtimes {
				res := s.once(scratch, p, r)
				mu.Lock()
				if t[p] == nil {
					t[p] = map[string]result{}
				}
				t[p][r.name] = res
				mu.Unlock()
			}
		}
	}
	// Room for all, so that those who wait for one another do not hold up the rest.
	one, many := make(chan string, len(s.programs)), make(chan string, len(s.programs))
	var err error
	for _, p := range s.programs {
		_, serr := os.Stat(filepath.Join(s.dir, p))
		switch {
		case serr != nil:
			err = errors.Join(err, fmt.Errorf("there is no program %s", p))
		case sharesGroups(p):
			one <- p
		default:
			many <- p
		}
	}
	close(one)
	close(many)
	var all sync.WaitGroup
	all.Go(func() { give(one) })
	for range workers {
		all.Go(func() { give(many) })
	}
	all.Wait()
	return t, err
}

// sharesGroups: these programs use one control group, under a name that is
// built into them, and so run one after the other.
func sharesGroups(program string) bool {
	return strings.HasPrefix(program, "linux_cgroups_") || strings.HasPrefix(program, "delete_")
}

// patience is for one program. The longest takes some 20 s on a busy machine.
const patience = 90 * time.Second

// once runs a program with a runtime.
func (s *suite) once(scratch, program string, r contender) result {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(s.dir, program))
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "RUNTIME="+r.path, "TMPDIR="+scratch)
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	res := parseTAP(out.String())
	switch {
	case ctx.Err() != nil:
		res.broken = "no end after " + patience.String()
	case err != nil:
		res.broken = lastLine(errs.String(), err.Error())
	}
	return res
}

// lastLine is the last line that says more than how a process ended.
func lastLine(text, otherwise string) string {
	last := otherwise
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "exit status") {
			last = line
		}
	}
	return last
}

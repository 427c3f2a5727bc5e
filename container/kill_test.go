package container

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/berth-engine/berth/internal/fault"
)

// storeEnv makes this test binary a victim: it works on the store named there
// until it is killed.
const storeEnv = "BERTH_TEST_STORE"

func TestMain(m *testing.M) {
	if root := os.Getenv(storeEnv); root != "" {
		victim(root)
	}
	os.Exit(m.Run())
}

// victim creates, renames and removes, and prints what was acknowledged.
func victim(root string) {
	s, err := Open(root)
	for n := 0; err == nil; n++ {
		c := &Container{ID: NewID(), Name: "name" + strconv.Itoa(n%7)}
		c.Request.Remove = n%2 == 0
		err = s.Create(c)
		if errors.Is(err, fault.Conflict) {
			old, ferr := s.Find(c.Name)
			if err = ferr; err == nil {
				err = s.Remove(old.ID)
			}
			if errors.Is(err, fault.NotFound) { // another victim was quicker
				err = nil
			}
			continue
		}
		if err != nil {
			break
		}
		fmt.Println("created", c.ID)
		if n%3 == 0 {
			if err = s.Rename(c.ID, c.Name+"_x"); errors.Is(err, fault.Conflict) || errors.Is(err, fault.NotFound) {
				err = nil
			}
		}
	}
	fmt.Println("failed:", err)
	os.Exit(1)
}

// Whenever a process dies, the store stays whole: each record is readable and
// found by its name, no name is lost, and the next creation clears the rest.
func TestKilled(t *testing.T) {
	s, root := open(t)
	for round := range 8 {
		var victims []*exec.Cmd
		for range 2 {
			v := exec.Command(os.Args[0])
			v.Env = append(os.Environ(), storeEnv+"="+root)
			out, err := v.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := v.Start(); err != nil {
				t.Fatal(err)
			}
			victims = append(victims, v)
			waitForWork(t, out)
		}
		// A moment at random within the work of the victims.
		time.Sleep(time.Duration(rand.IntN(8000)) * time.Microsecond)
		for _, v := range victims {
			if err := v.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		for _, v := range victims {
			v.Wait()
		}
		checkStore(t, s, round)
		if t.Failed() {
			return
		}
	}
}

// waitForWork reads until the victim has done something, then drops the rest.
func waitForWork(t *testing.T, out io.Reader) {
	t.Helper()
	r := bufio.NewReader(out)
	line, err := r.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "created ") {
		t.Fatalf("the victim says %q, %v", line, err)
	}
	go func() {
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			if strings.HasPrefix(line, "failed") {
				t.Error(line)
			}
		}
	}()
}

func checkStore(t *testing.T, s *Store, round int) {
	t.Helper()
	list, err := s.List()
	if err != nil {
		t.Fatalf("round %d: %v", round, err)
	}
	for _, c := range list {
		got, err := s.Find(c.Name)
		if err != nil && errors.Is(err, fault.NotFound) {
			// Killed between giving up the name and the record: still there
			// by its id, and removable.
			got, err = s.Find(c.ID)
		}
		if err != nil || got.ID != c.ID {
			t.Errorf("round %d: %s %q is not found: %v", round, c.ID[:ShortLen], c.Name, err)
		}
		if err := s.Remove(c.ID); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
	}
	// All names are free again, whatever links were left.
	for n := range 7 {
		for _, x := range []string{"", "_x"} {
			c := sample("name" + strconv.Itoa(n) + x)
			c.Request.Remove = true
			if err := s.Create(c); err != nil {
				t.Errorf("round %d: %v", round, err)
			} else if err := s.Remove(c.ID); err != nil {
				t.Errorf("round %d: %v", round, err)
			}
		}
	}
	if l := left(t, filepath.Dir(s.dir)); len(l) > 0 {
		t.Errorf("round %d left %v", round, l)
	}
}

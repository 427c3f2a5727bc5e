package oci

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/runtime/launch"
	"github.com/berth-engine/berth/runtime/plan"
)

// errHeld ends a process that held a user namespace: it is open now.
var errHeld = errors.New("held")

// mapNamespace makes a user namespace that serves only as a map for mounts;
// words are those of an input of the plan: UIDS/GIDS. A namespace needs a
// process to be born with; it is gone when this returns.
func mapNamespace(words string) (*os.File, error) {
	uids, gids, _ := strings.Cut(words, "/")
	prog, err := launch.Assemble(plan.Holder())
	if err != nil {
		return nil, err
	}
	var ns *os.File
	_, err = launch.Start(context.Background(), prog, launch.Options{At: func(p plan.Point, child *launch.Process) error {
		if p != plan.Born {
			return nil
		}
		dir := fmt.Sprintf("/proc/%d/", child.Pid)
		if err := os.WriteFile(dir+"uid_map", mapLines(uids), 0); err != nil {
			return err
		}
		if err := os.WriteFile(dir+"gid_map", mapLines(gids), 0); err != nil {
			return err
		}
		var err error
		if ns, err = os.Open(dir + "ns/user"); err != nil {
			return err
		}
		return errHeld
	}})
	if !errors.Is(err, errHeld) {
		return nil, fault.Op("user namespace for a map", words, err)
	}
	return ns, nil
}

// mapLines turns a word of the plan into lines for uid_map.
func mapLines(word string) []byte {
	return []byte(strings.NewReplacer("-", " ", ",", "\n").Replace(word) + "\n")
}

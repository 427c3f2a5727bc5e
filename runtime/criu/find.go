package criu

import (
	"os"
	"os/exec"
	"path/filepath"

	"github.com/berth-engine/berth/internal/fault"
)

// programs are where criu and our own program are.
type programs struct{ criu, relay string }

// find looks for them before anything is done: CRIU in PATH, berth-criu beside
// us and then in PATH.
func find() (p programs, err error) {
	if p.criu, err = exec.LookPath("criu"); err != nil {
		return p, fault.New(fault.Unsupported, "criu is not installed (apt-get install criu)")
	}
	if self, err := os.Executable(); err == nil {
		p.relay = filepath.Join(filepath.Dir(self), "berth-criu")
		if st, err := os.Stat(p.relay); err == nil && st.Mode().IsRegular() {
			return p, nil
		}
	}
	if p.relay, err = exec.LookPath("berth-criu"); err != nil {
		return p, fault.New(fault.NotFound, "berth-criu, which speaks with criu, is neither beside berth-oci nor in PATH; install it")
	}
	return p, nil
}

// Installed says what is missing of the programs that Job.Run starts.
func Installed() error {
	_, err := find()
	return err
}

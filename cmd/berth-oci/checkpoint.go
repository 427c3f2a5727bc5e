package main

import (
	"os/exec"
	"strings"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
)

// Checkpoint and restore have runc's flags, so that a caller learns from the
// answer what is lacking, and not that a flag is unknown.

func declareCriu(a *app) {
	f := a.flags
	f.String("image-path", "", "directory of the image files")
	f.String("work-path", "", "directory of CRIU's log and working files")
	f.String("manage-cgroups-mode", "", "soft, full, strict or ignore")
	f.StringSlice("empty-ns", nil, "namespaces to create and not to fill")
	for _, name := range []string{"tcp-established", "ext-unix-sk", "shell-job", "file-locks", "auto-dedup", "lazy-pages"} {
		f.Bool(name, false, "see criu(8)")
	}
}

func cmdCheckpoint(a *app) func() (int, error) {
	declareCriu(a)
	f := a.flags
	f.String("parent-path", "", "directory of an earlier image, for pre-dump")
	f.String("page-server", "", "ADDRESS:PORT that takes the pages")
	f.Int("status-fd", -1, "descriptor that hears when CRIU is ready")
	for _, name := range []string{"leave-running", "pre-dump", "link-remap", "tcp-skip-in-flight"} {
		f.Bool(name, false, "see criu(8)")
	}
	return func() (int, error) {
		s, err := a.rt.State(a.args[0])
		if err != nil {
			return 1, err
		}
		if s.Pid == 0 {
			return 1, fault.New(fault.NotRunning, "container not running")
		}
		return 1, criu("checkpoint")
	}
}

func cmdRestore(a *app) func() (int, error) {
	declareCriu(a)
	var m makeFlags
	declareMake(a, &m)
	f := a.flags
	f.BoolVarP(&m.detach, "detach", "d", false, "return when the container runs")
	f.Bool("no-subreaper", false, "accepted; this runtime is no subreaper")
	f.Bool("tcp-close", false, "see criu(8)")
	f.String("lsm-profile", "", "TYPE:NAME of the profile to restore with")
	f.String("lsm-mount-context", "", "label of the mounts")
	return func() (int, error) { return 1, criu("restore") }
}

// criu says why a container cannot be written to files or read from them here:
// no CRIU, one that the kernel does not let work, or us.
func criu(verb string) error {
	exe, err := exec.LookPath("criu")
	if err != nil {
		return fault.New(fault.Unsupported, "%s: criu is not installed (apt-get install criu)", verb)
	}
	out, err := exec.Command(exe, "check").CombinedOutput()
	if err != nil {
		return fault.New(fault.Unsupported, "%s: criu does not work on kernel %s: %s", verb, kernel.Release(), lastLine(string(out), err))
	}
	return fault.New(fault.Unsupported, "%s: berth-oci does not drive criu in this version", verb)
}

func lastLine(text string, err error) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return last
	}
	return err.Error()
}

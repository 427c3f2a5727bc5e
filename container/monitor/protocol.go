package monitor

import "github.com/berth-engine/berth/container"

// Config is monitor.json in the bundle directory: all that a monitor needs to
// know besides the OCI spec beside it. It holds no secrets.
type Config struct {
	ID         string
	Bundle     string // directory with config.json (the OCI spec)
	RunDir     string // directory on tmpfs: FIFOs, socket; made by the engine, 0700
	StatusFile string // written by the monitor only
	LogFile    string `json:",omitempty"` // empty: no log is kept
	LogMaxSize int64
	LogMaxFile int
	TTY        bool
	OpenStdin  bool
	StdinOnce  bool // close the container's stdin when the first attached client closes its own
	StopSignal int
	PIDFile    string `json:",omitempty"`
	Restart    container.RestartPolicy
	// Reaper is run when a container with Remove has ended and nobody who
	// waits for it has taken over the removal. Its first word is an absolute path.
	Remove bool     `json:",omitempty"`
	Reaper []string `json:",omitempty"`
	// RuntimeRoot is where the runtime keeps its own state.
	RuntimeRoot string
}

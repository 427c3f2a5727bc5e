package criu

import "github.com/berth-engine/berth/internal/fault"

// What a Request can ask for.
const (
	Dump    = "dump"
	PreDump = "pre-dump"
	Restore = "restore"
)

// Request says what CRIU shall do. The fields are named after criu(8).
type Request struct {
	Verb string `json:"verb"`
	Pid  int    `json:"pid,omitempty"` // the first process, of the two dumps
	// Images and Work are descriptors of the process that calls Job.Run, which
	// is where CRIU looks for them. Run fills them in.
	Images int    `json:"images"`
	Work   int    `json:"work"`
	Log    string `json:"log"` // a file in the work directory
	Root   string `json:"root,omitempty"`
	Parent string `json:"parent,omitempty"` // an earlier image, relative to the images

	External []string  `json:"external,omitempty"`
	Inherit  []Inherit `json:"inherit,omitempty"`
	Groups   []Pair    `json:"groups,omitempty"` // where a hierarchy's groups go: controller and path
	Join     []Pair    `json:"join,omitempty"`   // namespace and its file
	EmptyNet bool      `json:"emptyNet,omitempty"`

	CgroupMode string `json:"cgroupMode,omitempty"` // soft, full, strict or ignore; "" is soft
	Freeze     string `json:"freeze,omitempty"`     // the group to freeze
	Config     string `json:"config,omitempty"`     // CRIU's own configuration file
	Address    string `json:"address,omitempty"`    // of the page server
	Port       int    `json:"port,omitempty"`
	LSMProfile string `json:"lsmProfile,omitempty"`
	LSMMount   string `json:"lsmMount,omitempty"`
	Options
}

// Options are the flags that pass through.
type Options struct {
	LeaveRunning    bool `json:"leaveRunning,omitempty"`
	TCPEstablished  bool `json:"tcpEstablished,omitempty"`
	TCPSkipInFlight bool `json:"tcpSkipInFlight,omitempty"`
	TCPClose        bool `json:"tcpClose,omitempty"`
	ExtUnixSk       bool `json:"extUnixSk,omitempty"`
	ShellJob        bool `json:"shellJob,omitempty"`
	FileLocks       bool `json:"fileLocks,omitempty"`
	LinkRemap       bool `json:"linkRemap,omitempty"`
	AutoDedup       bool `json:"autoDedup,omitempty"`
	LazyPages       bool `json:"lazyPages,omitempty"`
}

// Inherit is a descriptor of CRIU's that takes the place of a file with the key.
type Inherit struct {
	Key string `json:"key"`
	FD  int    `json:"fd"`
}

// Pair is a name and a path.
type Pair struct {
	Name string `json:"name"`
	Path string `json:"path"`
}

// Check refuses what cannot be asked.
func (r *Request) Check() error {
	switch {
	case r.Verb != Dump && r.Verb != PreDump && r.Verb != Restore:
		return fault.New(fault.Invalid, "criu: there is nothing like %.50q", r.Verb)
	case r.Verb != Restore && r.Pid <= 0:
		return fault.New(fault.Invalid, "criu: %s without a process", r.Verb)
	case r.Images < 0 || r.Work < 0 || r.Port < 0 || r.Port > 65535:
		return fault.New(fault.Invalid, "criu: a descriptor or port is out of range")
	}
	return CheckMode(r.CgroupMode)
}

// CheckMode refuses what is no CgroupMode.
func CheckMode(mode string) error {
	switch mode {
	case "", "soft", "full", "strict", "ignore":
		return nil
	}
	return fault.New(fault.Invalid, "invalid manage-cgroups-mode %q: soft, full, strict and ignore are known", mode)
}

// Event is what berth-criu says: a step that CRIU has come to and waits at for
// an Answer, or how it ended, which is the last.
type Event struct {
	Step  string `json:"step,omitempty"`
	Pid   int    `json:"pid,omitempty"` // of the first process, at some steps
	Done  bool   `json:"done,omitempty"`
	Error string `json:"error,omitempty"`
}

// Steps that somebody waits for.
const (
	SetUpNamespaces = "setup-namespaces" // they are there, and nothing is in them
	PostRestore     = "post-restore"     // all processes are there and wait
	PreResume       = "pre-resume"       // they have their rights; CRIU goes on in any case
	StatusReady     = "status-ready"     // a dump with lazy pages serves them
	OrphanTerminal  = "orphan-pts-master"
)

func (e *Event) check() error {
	n := 0
	for _, there := range []bool{e.Step != "", e.Done, e.Error != ""} {
		if there {
			n++
		}
	}
	if n != 1 || e.Pid < 0 || len(e.Step) > 100 {
		return fault.New(fault.Invalid, "berth-criu: its message is not one of step, done and error")
	}
	return nil
}

// Answer lets CRIU go on, or give up and undo what it did.
type Answer struct {
	Go bool `json:"go"`
}

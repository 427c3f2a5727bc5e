package container

import "github.com/berth-engine/berth/internal/fault"

// Event is what can happen to a container.
type Event string

// The events of a life:
//
//	          Start            Exit
//	created ────────► running ──────► exited ──► removing ──► (gone)
//	   │   ◄─Fail─┐    │  ▲  │Retry     ▲  Remove    │ RemoveFailed
//	   └──────────┘Pause▼  │  ▼         │Exit        ▼
//	                  paused  restarting┘           dead
const (
	Start        Event = "start"  // the payload runs
	Fail         Event = "fail"   // a start did not get as far as the payload
	Pause        Event = "pause"  // frozen
	Resume       Event = "resume" // thawed
	Exit         Event = "exit"   // the payload ended and is not started again
	Retry        Event = "retry"  // the payload ended and will be started again after a wait
	Remove       Event = "remove" // removal begins
	RemoveFailed Event = "remove failed"
)

// next lists every legal move; what is missing is refused with a reason.
var next = map[State]map[Event]State{
	Created:    {Start: Running, Fail: Created, Remove: Removing},
	Running:    {Pause: Paused, Exit: Exited, Retry: Restarting},
	Paused:     {Resume: Running, Exit: Exited, Retry: Restarting},
	Restarting: {Start: Running, Fail: Restarting, Exit: Exited, Retry: Restarting},
	Exited:     {Start: Running, Fail: Exited, Remove: Removing},
	Removing:   {RemoveFailed: Dead},
	Dead:       {Remove: Removing},
}

// Next returns the state after e, or an error of class Conflict (the state
// forbids it) or NotRunning (there is no process to do it to). Pure.
func Next(s State, e Event) (State, error) {
	if s == "" {
		s = Created
	}
	moves, ok := next[s]
	if !ok {
		return "", fault.New(fault.Damaged, "unknown container state %q", printable(string(s)))
	}
	if to, ok := moves[e]; ok {
		return to, nil
	}
	return "", refusal(s, e)
}

// refusal words the illegal moves as docker does.
func refusal(s State, e Event) error {
	conflict := func(text string) error { return fault.New(fault.Conflict, "%s", text) }
	switch {
	case e == Remove && s == Running:
		return conflict("container is running: stop the container before removing or force remove")
	case e == Remove && s == Paused:
		return conflict("container is paused and must be unpaused first")
	case e == Remove && s == Restarting:
		return conflict("container is restarting: stop the container before removing or force remove")
	case e == Remove && s == Removing:
		return conflict("removal of container is already in progress")
	case e == Pause && s == Paused:
		return conflict("container is already paused")
	case e == Pause && s == Restarting:
		return conflict("container is restarting, wait until the container is running")
	case e == Resume && s == Running:
		return conflict("container is not paused")
	case e == Start && s == Paused:
		return conflict("cannot start a paused container, try unpause instead")
	case e == Start && s == Running:
		return conflict("container is already running")
	case e == Start && s == Removing:
		return conflict("container is marked for removal and cannot be started")
	case e == Start && s == Dead:
		return conflict("container is dead: it can only be removed")
	case e == Pause || e == Resume || e == Exit || e == Retry:
		return fault.New(fault.NotRunning, "container is not running")
	}
	return fault.New(fault.Conflict, "container is %s: cannot %s", s, e)
}

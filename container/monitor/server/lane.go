package server

import (
	"sync"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/container/monitor/internal/wire"
	"github.com/berth-engine/berth/internal/fault"
)

// lane carries a client's stdin to the payload in a goroutine of its own,
// which lives only while there is something to carry: a payload that does not
// read never holds up the client's other requests.
type lane struct {
	busy   *sync.RWMutex // held while there is something to carry
	mu     sync.Mutex
	items  [][]byte // nil: end of input
	size   int
	moving bool
}

// put queues data (nil: end of input) and calls carry for each item in turn.
// A client that sends more than the window it was granted is refused.
func (l *lane) put(data []byte, carry func([]byte)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size+len(data) > wire.Window {
		return fault.New(fault.TooLarge, "more than %d bytes of input under way", wire.Window)
	}
	l.items = append(l.items, data)
	l.size += len(data)
	if !l.moving {
		l.moving = true
		l.busy.RLock()
		go l.move(carry)
	}
	return nil
}

func (l *lane) move(carry func([]byte)) {
	for {
		l.mu.Lock()
		if len(l.items) == 0 {
			l.items, l.moving = nil, false
			l.busy.RUnlock()
			l.mu.Unlock()
			return
		}
		next := l.items[0]
		l.items = l.items[1:]
		l.mu.Unlock()
		carry(next)
		l.mu.Lock()
		l.size -= len(next)
		l.mu.Unlock()
	}
}

func closeFDs(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

package server

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/container/logfile"
	"github.com/berth-engine/berth/container/monitor/internal/wire"
)

// chunk is how much is read from the payload at once. The buffer of a silent
// stream is memory that was never touched.
const chunk = 32 << 10

// pump carries one stream of the payload to the log and to the attached
// clients until its end.
type pump struct {
	src    *os.File
	kind   wire.Type // Stdout or Stderr
	log    *logfile.Writer
	to     func(kind wire.Type, frame []byte) // returns when nobody is too far behind
	volume *atomic.Int64                      // bytes carried, for the memory keeper
	busy   *sync.RWMutex                      // held from a read until its bytes were carried
}

func (p *pump) run() {
	stream := logfile.Stdout
	if p.kind == wire.Stderr {
		stream = logfile.Stderr
	}
	raw, err := p.src.SyscallConn()
	if err != nil {
		return
	}
	buf := make([]byte, wire.HeaderSize+chunk)
	for {
		n := 0
		rerr := raw.Read(func(fd uintptr) bool {
			p.busy.RLock()
			if n, err = read(int(fd), buf[wire.HeaderSize:]); err == nil && n > 0 {
				return true
			}
			p.busy.RUnlock()
			return err != unix.EAGAIN
		})
		if rerr != nil || err != nil || n <= 0 { // EIO: nobody has the terminal any more
			break
		}
		p.carry(stream, buf[:wire.HeaderSize+n])
		p.busy.RUnlock()
	}
	if p.log != nil {
		_ = p.log.End(stream, time.Now()) // what is lost is counted there
	}
}

func (p *pump) carry(stream logfile.Stream, frame []byte) {
	data := frame[wire.HeaderSize:]
	p.volume.Add(int64(len(data)))
	if p.log != nil {
		_ = p.log.Write(stream, data, time.Now()) // what is lost is counted there
		if len(data) < chunk/4 {
			p.log.Idle()
		}
	}
	wire.PutHeader(frame, p.kind, len(data))
	p.to(p.kind, frame)
}

func read(fd int, p []byte) (int, error) {
	for {
		n, err := unix.Read(fd, p)
		if err != unix.EINTR {
			return n, err
		}
	}
}

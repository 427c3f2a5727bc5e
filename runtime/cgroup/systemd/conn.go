package systemd

import (
	"errors"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
)

// patience bounds every wait for an answer. systemd answers in milliseconds
// unless it is being reloaded.
const patience = 30 * time.Second

const (
	privateSocket = "/run/systemd/private"
	systemBus     = "/run/dbus/system_bus_socket"
)

// Conn speaks with one service manager. It is for one goroutine.
type Conn struct {
	fd      int
	pending []byte // read, not yet taken
	serial  uint32
	done    map[string]string // jobs that ended while nobody waited for them
}

// Running reports whether the machine was started by systemd, as sd_booted(3)
// does.
func Running() bool {
	var st unix.Stat_t
	return unix.Lstat("/run/systemd/system", &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
}

// Dial connects to the machine's manager. The private socket needs no bus to
// run, but is for root alone.
func Dial() (*Conn, error) {
	c, err := open(privateSocket, false)
	if err == nil {
		return c, nil
	}
	c, berr := open(systemBus, true)
	if berr == nil {
		return c, nil
	}
	return nil, fault.Op("systemd.dial", "", errors.Join(err, berr))
}

// DialUser connects to the manager of a user, whose runtime directory and
// session bus address are given as the environment has them.
func DialUser(runtimeDir, busAddress string) (*Conn, error) {
	err := fault.New(fault.Unsupported, "XDG_RUNTIME_DIR is not set; log in to get a manager of your own")
	if runtimeDir != "" {
		var c *Conn
		if c, err = open(runtimeDir+"/systemd/private", false); err == nil {
			return c, nil
		}
	}
	path := runtimeDir + "/bus"
	if rest, ok := strings.CutPrefix(busAddress, "unix:path="); ok {
		path, _, _ = strings.Cut(rest, ",")
	}
	c, berr := open(path, true)
	if berr == nil {
		return c, nil
	}
	return nil, fault.Op("systemd.dial", "", errors.Join(err, berr))
}

func open(path string, bus bool) (*Conn, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fault.Op("socket", "", err)
	}
	c := &Conn{fd: fd, done: map[string]string{}}
	if err := c.begin(path, bus); err != nil {
		c.Close()
		return nil, fault.Op("connect", path, err)
	}
	return c, nil
}

func (c *Conn) begin(path string, bus bool) error {
	limit := unix.NsecToTimeval(int64(patience))
	for _, option := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
		if err := unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, option, &limit); err != nil {
			return err
		}
	}
	err := unix.Connect(c.fd, &unix.SockaddrUnix{Name: path})
	for errors.Is(err, unix.EINTR) {
		err = unix.Connect(c.fd, &unix.SockaddrUnix{Name: path})
	}
	if err != nil && !errors.Is(err, unix.EISCONN) {
		return fault.As(fault.Unavailable, err)
	}
	if err := c.authenticate(); err != nil {
		return err
	}
	if !bus {
		return nil
	}
	if _, err := c.call(busTarget("Hello"), "", nil); err != nil {
		return err
	}
	w := &writer{}
	w.str("type='signal',interface='" + manager + "',member='JobRemoved'")
	if _, err := c.call(busTarget("AddMatch"), "s", w.b); err != nil {
		return err
	}
	_, err = c.call(managerTarget("Subscribe"), "", nil)
	return err
}

func busTarget(member string) target {
	return target{"org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", member}
}

// authenticate names no user: the other side then takes the one that the
// kernel tells it. A number would be wrong where we are in a user namespace.
// All goes in one piece, and the first message after its answer: systemd 252
// reads on from a socket, so it would not see a message that came with BEGIN
// until there is another.
func (c *Conn) authenticate() error {
	if err := c.send([]byte("\x00AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")); err != nil {
		return err
	}
	line, err := c.line()
	if err == nil && line == "DATA" {
		line, err = c.line()
	}
	if err == nil && !strings.HasPrefix(line, "OK") {
		err = fault.New(fault.Denied, "authentication: %q", line)
	}
	return err
}

// Close ends the connection.
func (c *Conn) Close() error { return unix.Close(c.fd) }

func (c *Conn) send(b []byte) error {
	for len(b) > 0 {
		n, err := unix.SendmsgN(c.fd, b, nil, nil, unix.MSG_NOSIGNAL)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return silence(err)
		default:
			b = b[n:]
		}
	}
	return nil
}

// fill reads until n bytes are pending.
func (c *Conn) fill(n int) error {
	for len(c.pending) < n {
		buf := make([]byte, 4096)
		got, err := unix.Read(c.fd, buf)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return silence(err)
		case got == 0:
			return fault.New(fault.Unavailable, "systemd closed the connection")
		default:
			c.pending = append(c.pending, buf[:got]...)
		}
	}
	return nil
}

// silence puts the socket's timeout into words.
func silence(err error) error {
	if errors.Is(err, unix.EAGAIN) {
		return fault.New(fault.Unavailable, "no answer in %s", patience)
	}
	return fault.As(fault.Unavailable, err)
}

// line reads one line of the authentication.
func (c *Conn) line() (string, error) {
	const longest = 1024
	for n := 1; n < longest; n++ {
		if err := c.fill(n); err != nil {
			return "", err
		}
		if c.pending[n-1] == '\n' {
			line := strings.TrimSuffix(string(c.pending[:n-1]), "\r")
			c.pending = c.pending[n:]
			return line, nil
		}
	}
	return "", fault.New(fault.Damaged, "authentication: no end of a line in %d bytes", longest)
}

// receive reads one message.
func (c *Conn) receive() (message, error) {
	if err := c.fill(1); err != nil {
		return message{}, err
	}
	if c.pending[0] == 'E' { // an older systemd says OK to AUTH and ERROR to DATA
		if _, err := c.line(); err != nil {
			return message{}, err
		}
	}
	if err := c.fill(headSize); err != nil {
		return message{}, err
	}
	size, err := sizeOf(c.pending)
	if err != nil {
		return message{}, err
	}
	if err := c.fill(size); err != nil {
		return message{}, err
	}
	m, err := parse(c.pending[:size])
	c.pending = c.pending[size:]
	return m, err
}

// call sends a call and returns its reply. Jobs that end meanwhile are noted.
func (c *Conn) call(to target, signature string, body []byte) (message, error) {
	c.serial++
	if err := c.send(call(c.serial, to, signature, body)); err != nil {
		return message{}, fault.Op(to.member, "", err)
	}
	for {
		m, err := c.receive()
		if err != nil {
			return m, fault.Op(to.member, "", err)
		}
		switch {
		case m.kind == kindSignal:
			c.note(m)
		case m.replyTo != c.serial:
		case m.kind == kindError:
			return m, fault.Op(to.member, "", refusal(m))
		case m.kind == kindReply:
			return m, nil
		}
	}
}

// refusal is an error reply; its text is a string in the body as a rule.
func refusal(m message) error {
	text := m.err
	if strings.HasPrefix(m.signature, "s") {
		if s := m.body.str(); s != "" {
			text = s + " (" + m.err + ")"
		}
	}
	kind := fault.Internal
	switch m.err {
	case "org.freedesktop.systemd1.UnitExists":
		kind = fault.Exists
	case "org.freedesktop.systemd1.NoSuchUnit":
		kind = fault.NotFound
	case "org.freedesktop.DBus.Error.AccessDenied", "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired":
		kind = fault.Denied
	case "org.freedesktop.DBus.Error.PropertyReadOnly", "org.freedesktop.DBus.Error.InvalidArgs":
		kind = fault.Invalid
	}
	return fault.New(kind, "%s", text)
}

// note keeps what a JobRemoved says.
func (c *Conn) note(m message) {
	if m.member != "JobRemoved" || m.iface != manager || m.want("uoss") != nil {
		return
	}
	m.body.u32()
	job := m.body.str()
	m.body.str() // the unit
	result := m.body.str()
	if m.body.err == nil {
		c.done[job] = result
	}
}

// wait waits for a job and returns how it ended.
func (c *Conn) wait(job string) (string, error) {
	for {
		if result, ok := c.done[job]; ok {
			delete(c.done, job)
			return result, nil
		}
		m, err := c.receive()
		if err != nil {
			return "", err
		}
		if m.kind == kindSignal {
			c.note(m)
		}
	}
}

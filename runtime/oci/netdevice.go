package oci

import (
	"cmp"
	"encoding/binary"
	"errors"
	"maps"
	"os"
	"slices"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
)

// moveDevices moves network devices of the machine into the container's
// network namespace (config-linux.md, "Network Devices"): each is taken down,
// moved and renamed by one message, gets its permanent addresses of global
// scope back, which the move takes from it, and is brought up. When the
// namespace ends, the kernel gives physical devices back and destroys others.
//
// What it returns can move them back, until it is closed: it keeps the
// container's namespace, which else would end with the child.
func moveDevices(pid int, l *specs.Linux) (m *movedDevices, err error) {
	if len(l.NetDevices) == 0 {
		return nil, nil
	}
	m = &movedDevices{}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.back())
			m.close()
			m = nil
		}
	}()
	if m.home, err = ownNetwork(); err != nil {
		return m, err
	}
	if m.ns, err = os.Open(netnsOf(pid, l)); err != nil {
		return m, err
	}
	if m.ours, err = newRoute(); err != nil {
		return m, err
	}
	if m.theirs, err = routeIn(m.home, m.ns); err != nil {
		return m, err
	}
	for _, name := range slices.Sorted(maps.Keys(l.NetDevices)) {
		to := cmp.Or(l.NetDevices[name].Name, name)
		if err := m.move(name, to); err != nil {
			return m, fault.New(fault.Invalid, "linux.netDevices[%q]: move to the container as %s: %w", name, to, err)
		}
	}
	return m, nil
}

// movedDevices are network devices that have gone to a container.
type movedDevices struct {
	home, ns     *os.File // the two namespaces
	ours, theirs *route   // in them
	list         []movedDevice
}

// movedDevice is one of them, as it was.
type movedDevice struct {
	name, to string
	up       bool
	addrs    []address
}

func (m *movedDevices) move(name, to string) error {
	index, up, err := m.ours.link(name)
	if err != nil {
		return err
	}
	addrs, err := m.ours.addresses(index)
	if err != nil {
		return err
	}
	if _, _, err := m.theirs.link(to); err == nil {
		return unix.EEXIST
	}
	if err := m.ours.move(index, int(m.ns.Fd()), to); err != nil {
		return err
	}
	m.list = append(m.list, movedDevice{name, to, up, addrs})
	return m.theirs.furnish(to, addrs, true)
}

// back moves them back and makes them what they were.
func (m *movedDevices) back() error {
	if m == nil {
		return nil
	}
	var errs []error
	for len(m.list) > 0 {
		d := m.list[len(m.list)-1]
		m.list = m.list[:len(m.list)-1]
		index, _, err := m.theirs.link(d.to)
		if err == nil {
			err = m.theirs.move(index, int(m.home.Fd()), d.name)
		}
		if err == nil {
			err = m.ours.furnish(d.name, d.addrs, d.up)
		}
		if err != nil {
			errs = append(errs, fault.Op("move back to the machine", d.name, err))
		}
	}
	return errors.Join(errs...)
}

func (m *movedDevices) close() {
	if m == nil {
		return
	}
	for _, f := range []*os.File{m.home, m.ns} {
		if f != nil {
			f.Close()
		}
	}
	for _, r := range []*route{m.ours, m.theirs} {
		if r != nil {
			r.close()
		}
	}
}

func netnsOf(pid int, l *specs.Linux) string {
	for _, n := range l.Namespaces {
		if n.Type == specs.NetworkNamespace && n.Path != "" {
			return n.Path
		}
	}
	return "/proc/" + strconv.Itoa(pid) + "/ns/net"
}

// route is a netlink socket for links and addresses; rtnetlink(7).
type route struct {
	fd  int
	seq uint32
}

func newRoute() (*route, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("socket netlink", err)
	}
	return &route{fd: fd}, nil
}

func (r *route) close() { unix.Close(r.fd) }

// routeIn opens one in another network namespace: where a socket is made it
// stays.
func routeIn(home, ns *os.File) (r *route, err error) {
	err = inNetwork(home, into(ns), func() error {
		r, err = newRoute()
		return err
	})
	return r, err
}

var order = binary.NativeEndian

// attr appends an attribute: length, type, data, padded to 4.
func attr(b []byte, kind uint16, data []byte) []byte {
	b = order.AppendUint16(b, uint16(unix.SizeofRtAttr+len(data)))
	b = order.AppendUint16(b, kind)
	b = append(b, data...)
	return append(b, make([]byte, (4-len(data)%4)%4)...)
}

// linkMessage is struct ifinfomsg.
func linkMessage(index int, flags, change uint32) []byte {
	b := make([]byte, unix.SizeofIfInfomsg)
	order.PutUint32(b[4:], uint32(index))
	order.PutUint32(b[8:], flags)
	order.PutUint32(b[12:], change)
	return b
}

// link gives a link's index, and whether it is up.
func (r *route) link(name string) (index int, up bool, err error) {
	err = r.ask(unix.RTM_GETLINK, 0, attr(linkMessage(0, 0, 0), unix.IFLA_IFNAME, append([]byte(name), 0)), func(kind uint16, data []byte) {
		if kind == unix.RTM_NEWLINK && len(data) >= unix.SizeofIfInfomsg {
			index, up = int(int32(order.Uint32(data[4:]))), order.Uint32(data[8:])&unix.IFF_UP != 0
		}
	})
	if err == nil && index == 0 {
		err = unix.ENODEV
	}
	return index, up, err
}

// furnish gives a link that has come here its addresses, and brings it up.
func (r *route) furnish(name string, addrs []address, up bool) error {
	index, _, err := r.link(name)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if err := r.add(index, a); err != nil {
			return err
		}
	}
	if !up {
		return nil
	}
	return r.up(index)
}

func (r *route) move(index, ns int, to string) error {
	b := linkMessage(index, 0, unix.IFF_UP) // down: its name may change then
	b = attr(b, unix.IFLA_NET_NS_FD, order.AppendUint32(nil, uint32(ns)))
	b = attr(b, unix.IFLA_IFNAME, append([]byte(to), 0))
	return r.ask(unix.RTM_NEWLINK, unix.NLM_F_ACK, b, nil)
}

func (r *route) up(index int) error {
	return r.ask(unix.RTM_NEWLINK, unix.NLM_F_ACK, linkMessage(index, unix.IFF_UP, unix.IFF_UP), nil)
}

// address is what it takes to give a link an address once more.
type address struct {
	family, prefix byte
	attrs          []byte
}

func (r *route) addresses(index int) ([]address, error) {
	var all []address
	err := r.ask(unix.RTM_GETADDR, unix.NLM_F_DUMP, make([]byte, unix.SizeofIfAddrmsg), func(kind uint16, data []byte) {
		if a, at, ok := parseAddress(data); ok && kind == unix.RTM_NEWADDR && at == index {
			all = append(all, a)
		}
	})
	return all, err
}

// parseAddress reads struct ifaddrmsg and its attributes; false for what the
// kernel makes by itself, and for addresses that are not of global scope.
func parseAddress(data []byte) (a address, index int, ok bool) {
	if len(data) < unix.SizeofIfAddrmsg {
		return a, 0, false
	}
	a.family, a.prefix = data[0], data[1]
	flags, scope := data[2], data[3]
	index = int(order.Uint32(data[4:]))
	for rest := data[unix.SizeofIfAddrmsg:]; len(rest) >= unix.SizeofRtAttr; {
		n := int(order.Uint16(rest))
		if n < unix.SizeofRtAttr || n > len(rest) {
			return a, 0, false
		}
		switch kind := order.Uint16(rest[2:]); kind {
		case unix.IFA_ADDRESS, unix.IFA_LOCAL, unix.IFA_BROADCAST:
			a.attrs = attr(a.attrs, kind, rest[unix.SizeofRtAttr:n])
		}
		rest = rest[min((n+3)&^3, len(rest)):]
	}
	return a, index, flags&unix.IFA_F_PERMANENT != 0 && scope == unix.RT_SCOPE_UNIVERSE
}

func (r *route) add(index int, a address) error {
	b := make([]byte, unix.SizeofIfAddrmsg)
	b[0], b[1] = a.family, a.prefix
	order.PutUint32(b[4:], uint32(index))
	err := r.ask(unix.RTM_NEWADDR, unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_EXCL, append(b, a.attrs...), nil)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// ask sends a message and hands what comes back to each, until the kernel says
// that it is done or has failed.
func (r *route) ask(kind uint16, flags uint16, payload []byte, each func(kind uint16, data []byte)) error {
	r.seq++
	b := order.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(payload)))
	b = order.AppendUint16(b, kind)
	b = order.AppendUint16(b, unix.NLM_F_REQUEST|flags)
	b = order.AppendUint32(b, r.seq)
	b = append(order.AppendUint32(b, 0), payload...)
	if err := unix.Sendto(r.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	buf := make([]byte, 1<<16)
	for {
		n, _, err := unix.Recvfrom(r.fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return os.NewSyscallError("recvfrom", err)
		}
		done, err := replies(buf[:n], r.seq, each)
		if done || err != nil {
			return err
		}
	}
}

// replies walks the messages of one datagram; see netlink(7).
func replies(b []byte, seq uint32, each func(uint16, []byte)) (done bool, err error) {
	for len(b) >= unix.SizeofNlMsghdr {
		n := int(order.Uint32(b))
		if n < unix.SizeofNlMsghdr || n > len(b) {
			return false, fault.New(fault.Damaged, "netlink: a message of %d bytes in %d", n, len(b))
		}
		kind, flags, data := order.Uint16(b[4:]), order.Uint16(b[6:]), b[unix.SizeofNlMsghdr:n]
		mine := order.Uint32(b[8:]) == seq
		b = b[min((n+3)&^3, len(b)):]
		switch {
		case !mine:
		case kind == unix.NLMSG_DONE:
			return true, nil
		case kind == unix.NLMSG_ERROR:
			if len(data) < 4 {
				return false, fault.New(fault.Damaged, "netlink: an error without number")
			}
			if errno := -int32(order.Uint32(data)); errno != 0 {
				return true, unix.Errno(errno)
			}
			return true, nil
		default:
			if each != nil {
				each(kind, data)
			}
			if flags&unix.NLM_F_MULTI == 0 {
				return true, nil
			}
		}
	}
	return false, nil
}

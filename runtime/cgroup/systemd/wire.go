package systemd

import (
	"encoding/binary"
	"strings"

	"github.com/berth-engine/berth/internal/fault"
)

// The D-Bus specification, sections "Message Format" and "Marshaling": a fixed
// head, an array of fields, padding to 8, the body.
const (
	kindCall   = 1
	kindReply  = 2
	kindError  = 3
	kindSignal = 4

	fieldPath        = 1
	fieldInterface   = 2
	fieldMember      = 3
	fieldError       = 4
	fieldReplyTo     = 5
	fieldDestination = 6
	fieldSignature   = 8

	headSize   = 16      // up to and with the length of the fields
	maxMessage = 1 << 20 // ours; systemd sends nothing near it
)

// Property is a setting of a unit. Value is a string, bool, int32, uint32,
// uint64, []uint32, []byte, []string or []Pair.
type Property struct {
	Name  string
	Value any
}

// Pair is a structure of two strings, of which DeviceAllow is a list.
type Pair [2]string

// writer marshals. What it cannot marshal is a bug of the caller's.
type writer struct{ b []byte }

func (w *writer) align(n int) {
	for len(w.b)%n != 0 {
		w.b = append(w.b, 0)
	}
}

func (w *writer) byte(v byte) { w.b = append(w.b, v) }

func (w *writer) u32(v uint32) {
	w.align(4)
	w.b = binary.LittleEndian.AppendUint32(w.b, v)
}

func (w *writer) u64(v uint64) {
	w.align(8)
	w.b = binary.LittleEndian.AppendUint64(w.b, v)
}

func (w *writer) str(s string) {
	w.u32(uint32(len(s)))
	w.b = append(append(w.b, s...), 0)
}

func (w *writer) signature(s string) {
	w.byte(byte(len(s)))
	w.b = append(append(w.b, s...), 0)
}

func (w *writer) bool(v bool) {
	if v {
		w.u32(1)
	} else {
		w.u32(0)
	}
}

// array writes the length of what elements writes, in front of it. The padding
// between the two does not count.
func (w *writer) array(alignment int, elements func()) {
	w.u32(0)
	at := len(w.b) - 4
	w.align(alignment)
	from := len(w.b)
	elements()
	binary.LittleEndian.PutUint32(w.b[at:], uint32(len(w.b)-from))
}

// properties writes a(sv).
func (w *writer) properties(list []Property) {
	w.array(8, func() {
		for _, p := range list {
			w.align(8)
			w.str(p.Name)
			w.variant(p.Value)
		}
	})
}

func (w *writer) variant(v any) {
	switch v := v.(type) {
	case string:
		w.signature("s")
		w.str(v)
	case bool:
		w.signature("b")
		w.bool(v)
	case int32:
		w.signature("i")
		w.u32(uint32(v))
	case uint32:
		w.signature("u")
		w.u32(v)
	case uint64:
		w.signature("t")
		w.u64(v)
	case []uint32:
		w.signature("au")
		w.array(4, func() {
			for _, n := range v {
				w.u32(n)
			}
		})
	case []byte:
		w.signature("ay")
		w.array(1, func() { w.b = append(w.b, v...) })
	case []string:
		w.signature("as")
		w.array(4, func() {
			for _, s := range v {
				w.str(s)
			}
		})
	case []Pair:
		w.signature("a(ss)")
		w.array(8, func() {
			for _, p := range v {
				w.align(8)
				w.str(p[0])
				w.str(p[1])
			}
		})
	default:
		panic("systemd: a property of a type that the package does not know")
	}
}

// target is whom a call is for.
type target struct{ destination, path, iface, member string }

// call marshals a method call.
func call(serial uint32, to target, signature string, body []byte) []byte {
	w := &writer{b: make([]byte, 0, 256+len(body))}
	w.b = append(w.b, 'l', kindCall, 0, 1)
	w.u32(uint32(len(body)))
	w.u32(serial)
	w.array(8, func() {
		for _, f := range [...]struct {
			code        byte
			kind, value string
		}{
			{fieldPath, "o", to.path},
			{fieldInterface, "s", to.iface},
			{fieldMember, "s", to.member},
			{fieldDestination, "s", to.destination},
		} {
			w.align(8)
			w.byte(f.code)
			w.signature(f.kind)
			w.str(f.value)
		}
		if signature != "" {
			w.align(8)
			w.byte(fieldSignature)
			w.signature("g")
			w.signature(signature)
		}
	})
	w.align(8)
	return append(w.b, body...)
}

// message is one that came in.
type message struct {
	kind              byte
	replyTo           uint32
	path, member, err string
	iface, signature  string
	body              reader
}

// sizeOf says from the first 16 bytes how long the message is.
func sizeOf(head []byte) (int, error) {
	order, err := orderOf(head)
	if err != nil {
		return 0, err
	}
	body, fields := uint64(order.Uint32(head[4:])), uint64(order.Uint32(head[12:]))
	size := headSize + (fields+7)&^7 + body
	if size > maxMessage {
		return 0, fault.New(fault.TooLarge, "a message of %d bytes", size)
	}
	return int(size), nil
}

func orderOf(head []byte) (binary.ByteOrder, error) {
	switch {
	case len(head) < headSize:
	case head[3] != 1:
		return nil, fault.New(fault.Damaged, "version %d of the protocol", head[3])
	case head[0] == 'l':
		return binary.LittleEndian, nil
	case head[0] == 'B':
		return binary.BigEndian, nil
	}
	return nil, fault.New(fault.Damaged, "no message of D-Bus")
}

// parse reads a whole message. Fields that we do not ask for are skipped.
func parse(b []byte) (message, error) {
	order, err := orderOf(b)
	if err != nil {
		return message{}, err
	}
	size, err := sizeOf(b)
	if err != nil || size != len(b) {
		return message{}, fault.New(fault.Damaged, "a message is cut")
	}
	m := message{kind: b[1]}
	end := headSize + int(order.Uint32(b[12:]))
	fields := reader{b: b[:end], at: headSize, order: order}
	for fields.at < end && fields.err == nil {
		fields.align(8)
		code := fields.byte()
		kind := fields.signature()
		switch {
		case kind == "u":
			if v := fields.u32(); code == fieldReplyTo {
				m.replyTo = v
			}
		case kind == "g":
			if s := fields.signature(); code == fieldSignature {
				m.signature = s
			}
		case kind == "s" || kind == "o":
			s := fields.str()
			switch code {
			case fieldPath:
				m.path = s
			case fieldInterface:
				m.iface = s
			case fieldMember:
				m.member = s
			case fieldError:
				m.err = s
			}
		default:
			fields.fail()
		}
	}
	start := (end + 7) &^ 7
	m.body = reader{b: b[start:], order: order}
	return m, fields.err
}

// reader unmarshals; the first error stays, and after it everything is empty.
type reader struct {
	b     []byte
	at    int
	order binary.ByteOrder
	err   error
}

func (r *reader) fail() {
	if r.err == nil {
		r.err = fault.New(fault.Damaged, "a message is not as its signature says")
	}
	r.at = len(r.b)
}

// take returns the next n bytes.
func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b)-r.at {
		r.fail()
		return nil
	}
	r.at += n
	return r.b[r.at-n : r.at]
}

func (r *reader) align(n int) { r.take((n - r.at%n) % n) }

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u32() uint32 {
	r.align(4)
	if b := r.take(4); b != nil {
		return r.order.Uint32(b)
	}
	return 0
}

func (r *reader) str() string       { return r.text(uint64(r.u32())) }
func (r *reader) signature() string { return r.text(uint64(r.byte())) }

// text reads n bytes and the zero behind them.
func (r *reader) text(n uint64) string {
	if n >= uint64(len(r.b)) {
		r.fail()
		return ""
	}
	b := r.take(int(n) + 1)
	if b == nil {
		return ""
	}
	s := string(b[:n])
	if b[n] != 0 || strings.IndexByte(s, 0) >= 0 {
		r.fail()
		return ""
	}
	return s
}

// want reads a body that must have this signature.
func (m *message) want(signature string) error {
	if m.signature != signature {
		return fault.New(fault.Damaged, "%s has the signature %q and not %q", m.member, m.signature, signature)
	}
	return nil
}

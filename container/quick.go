package container

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/berth-engine/berth/internal/disk"
	"github.com/berth-engine/berth/internal/fault"
)

// Listing a thousand containers is mostly decoding. What is here reads the
// JSON that this package wrote itself, at a third of the cost of
// encoding/json: keys in the order of the struct, no space between them. It
// knows nothing else. Whatever differs, if only by a field that few containers
// have, is left to encoding/json, so the two cannot disagree: FuzzQuick.

// readInto reads the file at path and decodes it with quick, or as JSON. buf is
// for the bytes, see disk.ReadInto.
func readInto[T any](buf *[]byte, path string, v *T, quick func(*cursor, *T)) error {
	var err error
	if *buf, err = disk.ReadInto(*buf, path); err != nil {
		return err
	}
	return fault.Op("read", path, decode(*buf, v, quick))
}

func decode[T any](data []byte, v *T, quick func(*cursor, *T)) error {
	c := cursor{rest: strings.TrimSuffix(string(data), "\n")}
	var got T
	if quick(&c, &got); !c.bad && c.rest == "" {
		*v = got
		return nil
	}
	return fault.As(fault.Damaged, json.Unmarshal(data, v))
}

func quickStatus(c *cursor, s *Status) {
	c.open()
	if c.key("State") {
		s.State = State(c.text())
	}
	if c.key("Pid") {
		s.Pid = int(c.number())
	}
	if c.key("StartTicks") {
		s.StartTicks = uint64(c.number())
	}
	if c.key("BootID") {
		s.BootID = c.text()
	}
	if c.key("MonitorPid") {
		s.MonitorPid = int(c.number())
	}
	if c.key("MonitorTicks") {
		s.MonitorTicks = uint64(c.number())
	}
	if c.key("Exit") {
		s.Exit = &ExitStatus{}
		quickExit(c, s.Exit)
	}
	if c.key("Error") {
		s.Error = c.text()
	}
	if c.key("StartedAt") {
		s.StartedAt = c.time()
	}
	if c.key("FinishedAt") {
		s.FinishedAt = c.time()
	}
	c.close()
}

func quickExit(c *cursor, e *ExitStatus) {
	c.open()
	if c.key("Code") {
		e.Code = int(c.number())
	}
	if c.key("Signal") {
		e.Signal = int(c.number())
	}
	c.close()
}

func quickContainer(c *cursor, r *Container) {
	c.open()
	c.texts([]field{{"ID", &r.ID}, {"Name", &r.Name}})
	if c.key("Created") {
		r.Created = c.time()
	}
	c.texts([]field{{"Image", &r.Image}, {"ImageRef", &r.ImageRef}, {"Snapshot", &r.Snapshot}, {"Path", &r.Path}})
	if c.key("Args") {
		r.Args = c.list()
	}
	if c.key("Request") {
		quickRequest(c, &r.Request)
	}
	c.close()
}

// quickRequest knows the fields of everyday containers.
func quickRequest(c *cursor, r *Request) {
	c.open()
	c.texts([]field{{"Name", &r.Name}, {"Image", &r.Image}, {"Rootfs", &r.Rootfs}})
	c.lists([]listField{{"Args", &r.Args}, {"Entrypoint", &r.Entrypoint}, {"Env", &r.Env}})
	c.texts([]field{{"User", &r.User}, {"WorkDir", &r.WorkDir}, {"Hostname", &r.Hostname}})
	c.flags([]flag{{"TTY", &r.TTY}, {"OpenStdin", &r.OpenStdin}, {"Remove", &r.Remove}, {"Init", &r.Init}, {"ReadOnly", &r.ReadOnly}})
	c.texts([]field{{"Network", &r.Network}})
	if c.key("Labels") {
		r.Labels = c.table()
	}
	if c.key("Restart") {
		c.open()
		c.texts([]field{{"Name", &r.Restart.Name}})
		c.close()
	}
	c.texts([]field{{"Pull", &r.Pull}, {"Platform", &r.Platform}})
	c.close()
}

type (
	field struct {
		name string
		to   *string
	}
	listField struct {
		name string
		to   *[]string
	}
	flag struct {
		name string
		to   *bool
	}
)

// cursor goes through a text. Once it is bad it stays so and gives zeros.
type cursor struct {
	rest string
	bad  bool
	more bool // a comma must come before the next key
}

// skip takes lit if it is next.
func (c *cursor) skip(lit string) bool {
	rest, ok := strings.CutPrefix(c.rest, lit)
	if ok {
		c.rest = rest
	}
	return ok
}

func (c *cursor) want(lit string) {
	if !c.skip(lit) {
		c.bad = true
	}
}

func (c *cursor) open()  { c.want("{"); c.more = false }
func (c *cursor) close() { c.want("}"); c.more = true }

// key takes `"name":` with the comma before it, if it is next.
func (c *cursor) key(name string) bool {
	s := c.rest
	if c.more {
		if s == "" || s[0] != ',' {
			return false
		}
		s = s[1:]
	}
	n := len(name)
	if len(s) < n+3 || s[0] != '"' || s[1:1+n] != name || s[1+n] != '"' || s[2+n] != ':' {
		return false
	}
	c.rest, c.more = s[n+3:], true
	return true
}

func (c *cursor) texts(fields []field) {
	for _, f := range fields {
		if c.key(f.name) {
			*f.to = c.text()
		}
	}
}

func (c *cursor) lists(fields []listField) {
	for _, f := range fields {
		if c.key(f.name) {
			*f.to = c.list()
		}
	}
}

func (c *cursor) flags(fields []flag) {
	for _, f := range fields {
		if c.key(f.name) {
			c.want("true")
			*f.to = true
		}
	}
}

// token takes a string with its quotes; plain says that it stands for itself.
func (c *cursor) token() (tok string, plain bool) {
	plain = true
	if c.rest == "" || c.rest[0] != '"' {
		c.bad = true
		return "", false
	}
	for i := 1; i < len(c.rest); i++ {
		switch b := c.rest[i]; {
		case b == '"':
			tok, c.rest = c.rest[:i+1], c.rest[i+1:]
			return tok, plain
		case b == '\\':
			plain = false
			i++
		case b < ' ' || b >= 0x80:
			plain = false
		}
	}
	c.bad = true
	return "", false
}

func (c *cursor) text() string {
	tok, plain := c.token()
	if c.bad {
		return ""
	}
	if plain {
		return tok[1 : len(tok)-1]
	}
	var s string
	if json.Unmarshal([]byte(tok), &s) != nil {
		c.bad = true
	}
	return s
}

// number takes digits, as many as fit any of our fields for certain.
func (c *cursor) number() (n int64) {
	i := 0
	for i < len(c.rest) && c.rest[i] >= '0' && c.rest[i] <= '9' {
		n = n*10 + int64(c.rest[i]-'0')
		if i++; i > 18 {
			c.bad = true
			return 0
		}
	}
	if i == 0 || (i > 1 && c.rest[0] == '0') {
		c.bad = true
		return 0
	}
	c.rest = c.rest[i:]
	return n
}

func (c *cursor) time() (t time.Time) {
	tok, _ := c.token()
	if c.bad || t.UnmarshalJSON([]byte(tok)) != nil {
		c.bad = true
		return time.Time{}
	}
	return t
}

// list takes strings; null is nil.
func (c *cursor) list() []string {
	if c.skip("null") {
		return nil
	}
	c.want("[")
	list := []string{}
	if c.skip("]") {
		return list
	}
	for !c.bad {
		list = append(list, c.text())
		if !c.skip(",") {
			break
		}
	}
	c.want("]")
	return list
}

// table takes an object of strings.
func (c *cursor) table() map[string]string {
	c.want("{")
	table := map[string]string{}
	if c.skip("}") {
		return table
	}
	for !c.bad {
		k := c.text()
		c.want(":")
		table[k] = c.text()
		if !c.skip(",") {
			break
		}
	}
	c.want("}")
	return table
}

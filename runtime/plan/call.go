package plan

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/mount"
)

// Slot is a descriptor with a fixed number in the child: slot n is descriptor
// SlotBase+n. Slots are assigned by the planner and may be used again.
type Slot uint8

const (
	// SlotBase is the descriptor of slot 0.
	SlotBase = 64
	// MaxSlots bounds the slots of a plan: descriptors 64 to 127.
	MaxSlots = 64
	// NoSlot stands where a call returns no descriptor worth keeping.
	NoSlot Slot = 255
)

// FD is the slot's descriptor number in the child.
func (s Slot) FD() int { return SlotBase + int(s) }

func (s Slot) String() string { return "s" + strconv.Itoa(int(s)) }

// ArgKind tells how an argument gets into a register.
type ArgKind uint8

// The kinds of arguments.
const (
	Number  ArgKind = iota // N
	Text                   // address of S and a NUL
	Bytes                  // address of the bytes of S; pointers inside at Refs
	InSlot                 // descriptor of slot N
	Strings                // address of a NULL-terminated array of strings (argv, envp)
)

// Arg is one argument of a Call. A plan has two thousand of them, and memory
// that a program touches first costs it more than what it does there: keep
// them small.
type Arg struct {
	S    string // of Text and Bytes; of a Number how Explain prints it, empty: by Form
	N    uint64
	More *More
	Kind ArgKind
	Form Form
}

// More is what few arguments have.
type More struct {
	Show string   // how Explain prints Bytes or Strings
	List []string // of Strings
	Refs []Ref    // pointers to be patched into Bytes
	// Shared: all Bytes with the same pointer here are one place, so that a
	// call can hand on what the kernel wrote for an earlier one.
	Shared *[16]byte
}

// Form is how Explain prints an argument: words are made only when asked for,
// since every start lowers a plan and few print one.
type Form uint8

// The forms.
const (
	Plain    Form = iota // a number; text in quotes
	Octal                // a file mode
	Device               // major:minor
	OpenHow              // struct open_how
	AttrHow              // struct mount_attr
	Quoted               // bytes as text
	LimitHow             // struct rlimit64
	Attr                 // MOUNT_ATTR_ bits
)

// Ref patches an address into a Bytes argument: at Offset, 8 bytes, the
// address of Target.
type Ref struct {
	Offset int
	Target []byte
}

// Call is one system call with constant arguments; those that are not there
// are 0.
type Call struct {
	Name string
	args [6]Arg
	OK   [4]uint16 // errors that count as done
	Want int64     // with Must: the only good result
	Nr   uint16
	Fail uint16 // no call at all: fail with this error
	Into Slot   // keeps the returned descriptor, or NoSlot
	Skip uint8  // calls to skip forward when it succeeds without error
	n    uint8  // how many arguments there are
	Must bool   // Want is to be checked
	Fork bool   // goes on in the new process; the old one reports its pid and leaves

	far bool // Skip has no room for its number: Lower refuses the plan
}

func num(n uint64) Arg                { return Arg{Kind: Number, N: n} }
func flags(n uint64, show string) Arg { return Arg{Kind: Number, N: n, S: show} }
func text(s string) Arg               { return Arg{Kind: Text, S: s} }
func slot(s Slot) Arg                 { return Arg{Kind: InSlot, N: uint64(s)} }
func octal(n uint64) Arg              { return Arg{Kind: Number, N: n, Form: Octal} }
func shaped(b []byte, f Form) Arg     { return Arg{Kind: Bytes, S: string(b), Form: f} }
func quoted(s string) Arg             { return Arg{Kind: Bytes, S: s, Form: Quoted} }
func blob(b []byte, show string) Arg {
	return Arg{Kind: Bytes, S: string(b), More: &More{Show: show}}
}

func shared(at *[16]byte, show string) Arg {
	a := blob(at[:], show)
	a.More.Shared = at
	return a
}
func null() Arg { return Arg{S: "NULL"} }
func cwd() Arg  { return Arg{N: uint64(atFDCWD), S: "AT_FDCWD"} }
func list(name string, words []string) Arg {
	return Arg{Kind: Strings, More: &More{List: words, Show: name}}
}

// atFDCWD is AT_FDCWD (-100) as a register.
const atFDCWD = ^uint64(99)

// Args are the arguments; they are the call's own.
func (c *Call) Args() []Arg { return c.args[:c.n] }

// call makes a Call that must succeed and keeps nothing.
func call(nr uint16, name string, args ...Arg) Call {
	c := Call{Nr: nr, Name: name, Into: NoSlot, n: uint8(len(args))}
	copy(c.args[:c.n], args)
	return c
}

func (c Call) into(s Slot) Call { c.Into = s; return c }
func (c Call) ok(errs ...unix.Errno) Call {
	for i, e := range errs {
		c.OK[i] = uint16(e)
	}
	return c
}
func (c Call) skip(n int) Call        { c.Skip, c.far = uint8(n), n > 255; return c }
func (c Call) must(result int64) Call { c.Must, c.Want = true, result; return c }

// fail is the end of a chain of alternatives: none of them worked.
func fail(e unix.Errno) Call { return Call{Name: "fail", Fail: uint16(e), Into: NoSlot} }

// String prints the call as Explain shows it.
func (c *Call) String() string {
	if c.Name == "fail" {
		return "or fail with " + unix.ErrnoName(unix.Errno(c.Fail))
	}
	var b strings.Builder
	b.WriteString(c.Name + "(")
	for i, a := range c.Args() {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(a.String())
	}
	b.WriteString(")")
	if c.Into != NoSlot {
		b.WriteString("→" + c.Into.String())
	}
	if c.OK[0] != 0 || c.Skip > 0 {
		b.WriteString(c.notes())
	}
	return b.String()
}

func (c *Call) notes() string {
	var notes []string
	for _, e := range c.OK {
		if e == 0 {
			break
		}
		notes = append(notes, unix.ErrnoName(unix.Errno(e))+" ok")
	}
	if c.Skip > 0 {
		notes = append(notes, fmt.Sprintf("then skip %d", c.Skip))
	}
	return " [" + strings.Join(notes, ", ") + "]"
}

func (a Arg) String() string {
	switch {
	case a.Kind == Strings:
		return "[" + strconv.Itoa(len(a.More.List)) + " " + a.More.Show + "]"
	case a.Kind == Text:
		return strconv.Quote(a.S)
	case a.Kind == InSlot:
		return Slot(a.N).String()
	case a.Kind == Bytes && a.More != nil:
		return a.More.Show
	case a.Kind == Number && a.S != "":
		return a.S
	}
	switch a.Form {
	case Octal:
		return "0" + strconv.FormatUint(a.N, 8)
	case Device:
		return devWords(a.N)
	case OpenHow:
		return openHowWords([]byte(a.S))
	case AttrHow:
		return attrHowWords([]byte(a.S))
	case Attr:
		if words := mount.AttrWords(a.N); words != "" {
			return words
		}
	case Quoted:
		return strconv.Quote(a.S)
	case LimitHow:
		return limitWord(word([]byte(a.S), 0)) + ":" + limitWord(word([]byte(a.S), 1))
	}
	if a.N >= 1<<20 {
		return "0x" + strconv.FormatUint(a.N, 16)
	}
	return strconv.FormatUint(a.N, 10)
}

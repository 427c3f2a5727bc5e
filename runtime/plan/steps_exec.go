package plan

import (
	"encoding/binary"
	"fmt"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/runtime/seccomp"
)

// Session makes the child the leader of a session of its own.
type Session struct{}

func (Session) String() string { return "new session" }

// Calls implements Step.
func (Session) Calls(cs []Call) []Call {
	return append(cs, call(unix.SYS_SETSID, "setsid").ok(unix.EPERM))
}

// OpenConsole makes a pty in the container's own devpts. The parent fetches
// the master from slot Console at the next Point.
type OpenConsole struct {
	Dir      Slot   // directory that Ptmx is resolved in
	Ptmx     string // relative
	UID, GID uint32
}

func (OpenConsole) String() string { return "make a terminal in the container's devpts" }

// Calls implements Step. The peer is opened through the master, never by name.
func (s OpenConsole) Calls(cs []Call) []Call {
	return append(cs,
		openat2(s.Dir, s.Ptmx, unix.O_RDWR|unix.O_NOCTTY, 0, inRoot).into(Console),
		call(unix.SYS_IOCTL, "ioctl", slot(Console), flags(unix.TIOCSPTLCK, "TIOCSPTLCK"), blob(make([]byte, 4), "0")),
		call(unix.SYS_IOCTL, "ioctl", slot(Console), flags(unix.TIOCGPTPEER, "TIOCGPTPEER"), flags(unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, "O_RDWR|O_NOCTTY")).into(Peer),
		call(unix.SYS_FCHOWN, "fchown", slot(Peer), num(uint64(s.UID)), num(uint64(s.GID))),
	)
}

// BindConsole shows the terminal as /dev/console.
type BindConsole struct{}

func (BindConsole) String() string { return "bind the terminal on /dev/console" }

// Calls implements Step.
func (BindConsole) Calls(cs []Call) []Call {
	cs = append(cs, cloneTree(slot(Peer), "", false, Tree))
	cs = resolve(cs, Root, "/dev/console", false, inRoot, Temp, Target)
	return append(cs, attach(Tree, Target))
}

// UseConsole makes the terminal the controlling one and stdin, stdout, stderr.
type UseConsole struct{}

func (UseConsole) String() string { return "use the terminal" }

// Calls implements Step.
func (UseConsole) Calls(cs []Call) []Call {
	cs = append(cs, call(unix.SYS_IOCTL, "ioctl", slot(Peer), flags(unix.TIOCSCTTY, "TIOCSCTTY"), num(0)))
	for fd := range uint64(3) {
		cs = append(cs, call(unix.SYS_DUP3, "dup3", slot(Peer), num(fd), num(0)))
	}
	return cs
}

// FreshSignals gives signals their default action and blocks none, whatever our
// caller does with them. Handlers end with an exec; what is ignored stays.
type FreshSignals struct{}

func (FreshSignals) String() string { return "ignore and block no signal" }

// inherited are the signals that Go leaves ignored in a program that begins
// so. 32 to 34 are the C libraries' own.
var inherited = [...]unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGCONT, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, 32, 33, 34}

// Calls implements Step. The kernel's struct sigaction and signal set are not
// the C library's; see rt_sigaction(2).
func (FreshSignals) Calls(cs []Call) []Call {
	const setSize = 8
	byDefault, empty := blob(make([]byte, 32), "SIG_DFL"), blob(make([]byte, setSize), "[]")
	for _, s := range inherited {
		cs = append(cs, call(unix.SYS_RT_SIGACTION, "rt_sigaction", flags(uint64(s), unix.SignalName(s)), byDefault, null(), num(setSize)))
	}
	return append(cs, call(unix.SYS_RT_SIGPROCMASK, "rt_sigprocmask", flags(unix.SIG_SETMASK, "SIG_SETMASK"), empty, null(), num(setSize)))
}

// Umask sets the file mode mask.
type Umask struct{ Mask uint32 }

func (s Umask) String() string { return fmt.Sprintf("umask %04o", s.Mask) }

// Calls implements Step.
func (s Umask) Calls(cs []Call) []Call {
	return append(cs, call(unix.SYS_UMASK, "umask", octal(uint64(s.Mask))))
}

// Rlimit sets one resource limit.
type Rlimit struct {
	Name       string
	Resource   uint64
	Soft, Hard uint64
}

func (s Rlimit) String() string {
	return "limit " + s.Name + " " + limitWord(s.Soft) + ":" + limitWord(s.Hard)
}

func limitWord(n uint64) string {
	if n == unix.RLIM_INFINITY {
		return "unlimited"
	}
	return strconv.FormatUint(n, 10)
}

// Calls implements Step.
func (s Rlimit) Calls(cs []Call) []Call {
	b := make([]byte, 16)
	binary.NativeEndian.PutUint64(b, s.Soft)
	binary.NativeEndian.PutUint64(b[8:], s.Hard)
	return append(cs, call(unix.SYS_PRLIMIT64, "prlimit64", num(0), flags(s.Resource, s.Name), shaped(b, LimitHow), null()))
}

// MoreFDs raises the soft limit of descriptors to the hard one and keeps what
// it was: the set-up's descriptors have high numbers, whatever the caller's
// soft limit is.
type MoreFDs struct {
	Hard uint64
	Old  *[16]byte // struct rlimit64, filled by the kernel
}

func (MoreFDs) String() string { return "make room for the descriptors of the set-up" }

// Calls implements Step.
func (s MoreFDs) Calls(cs []Call) []Call {
	b := make([]byte, 16)
	binary.NativeEndian.PutUint64(b, s.Hard)
	binary.NativeEndian.PutUint64(b[8:], s.Hard)
	return append(cs, call(unix.SYS_PRLIMIT64, "prlimit64", num(0), flags(unix.RLIMIT_NOFILE, "RLIMIT_NOFILE"), shaped(b, LimitHow), shared(s.Old, "old")))
}

// SameFDs gives the payload the limit of descriptors that MoreFDs found.
type SameFDs struct{ Old *[16]byte }

func (SameFDs) String() string { return "limit of descriptors as it was" }

// Calls implements Step.
func (s SameFDs) Calls(cs []Call) []Call {
	return append(cs, call(unix.SYS_PRLIMIT64, "prlimit64", num(0), flags(unix.RLIMIT_NOFILE, "RLIMIT_NOFILE"), shared(s.Old, "old"), null()))
}

// OnlyFDs closes every descriptor from First on, but those in the slots and,
// with KeepSync, the two that end at exec by themselves.
type OnlyFDs struct {
	First int  // first descriptor the payload does not get
	Slots bool // keep the slots: used before anything is opened
	Start bool // keep the start FIFO until exec
}

func (s OnlyFDs) String() string {
	if s.Slots {
		return "close all inherited descriptors"
	}
	return "close all descriptors of the set-up"
}

// Calls implements Step. These are real closes: a descriptor that exec would
// close is still there for /proc/self/fd tricks until exec.
func (s OnlyFDs) Calls(cs []Call) []Call {
	if s.Slots {
		return append(cs, closeRange(s.First, SlotBase-1), closeRange(SlotBase+MaxSlots, -1))
	}
	first := s.First
	if s.Start {
		cs = append(cs, closeRange(first, Start.FD()-1))
		first = Start.FD() + 1
	}
	return append(cs, closeRange(first, Sync.FD()-1), closeRange(Sync.FD()+1, -1))
}

func closeRange(from, to int) Call {
	last := num(uint64(to))
	if to < 0 {
		last = flags(0xffffffff, "max")
	}
	return call(unix.SYS_CLOSE_RANGE, "close_range", num(uint64(from)), last, num(0))
}

// Chdir goes to the working directory as root. A missing right is let pass:
// the payload's user may have it where root of a user namespace, or of a
// network file system, has not; ChdirAgain follows.
type Chdir struct {
	Path string
	Make bool // a missing directory is made, 0755 root
}

func (s Chdir) String() string { return "go to " + s.Path }

// Calls implements Step. By now no descriptor leads out of the root: OnlyFDs
// comes first, and the verifier insists.
func (s Chdir) Calls(cs []Call) []Call {
	if s.Make {
		cs = makeDirs(cs, s.Path)
	}
	return append(cs, chdir(s.Path).ok(unix.EACCES))
}

func chdir(p string) Call { return call(unix.SYS_CHDIR, "chdir", text(p)) }

// ChdirAgain goes to the working directory as the payload's user. One of the
// two must have worked: getcwd(2) tells by the length of the path.
type ChdirAgain struct{ Path string }

func (s ChdirAgain) String() string { return "go to " + s.Path + " as the user, or have gone as root" }

// Calls implements Step.
func (s ChdirAgain) Calls(cs []Call) []Call {
	buf := blob(make([]byte, 4096), "buf")
	length := int64(len(path.Clean(s.Path)) + 1)
	return append(cs,
		chdir(s.Path).ok(unix.EACCES).skip(1),
		call(unix.SYS_GETCWD, "getcwd", buf, num(4096)).must(length),
	)
}

// makeDirs appends what makes the missing directories of an absolute path after the pivot,
// when nothing but the container can be reached.
func makeDirs(cs []Call, p string) []Call {
	first := len(cs)
	cs = append(cs, call(unix.SYS_FACCESSAT2, "faccessat2", cwd(), text(p), num(unix.F_OK), num(0)).ok(unix.ENOENT, unix.EACCES))
	for i := 1; i < len(p); i++ {
		if p[i] == '/' {
			cs = append(cs, mkdir(p[:i]))
		}
	}
	cs = append(cs, mkdir(p))
	cs[first] = cs[first].skip(len(cs) - first - 1)
	return cs
}

func mkdir(p string) Call {
	return call(unix.SYS_MKDIRAT, "mkdirat", cwd(), text(p), octal(0o755)).ok(unix.EEXIST, unix.EROFS)
}

// FindExecutable makes sure that the payload's program is there before the
// container counts as created.
type FindExecutable struct {
	Name  string
	Paths []string
}

func (s FindExecutable) String() string { return "find " + s.Name }

// Calls implements Step: the first executable wins; something that exists and
// is not executable explains more than "not found".
func (s FindExecutable) Calls(cs []Call) []Call {
	if len(s.Paths) == 1 {
		return append(cs, access(s.Paths[0], unix.X_OK))
	}
	n := len(s.Paths)
	for i, p := range s.Paths {
		cs = append(cs, access(p, unix.X_OK).ok(unix.ENOENT, unix.ENOTDIR, unix.EACCES).skip(2*n+1-i))
	}
	for i, p := range s.Paths {
		cs = append(cs, access(p, unix.F_OK).ok(unix.ENOENT, unix.ENOTDIR, unix.EACCES).skip(n-i))
	}
	return append(cs, fail(unix.ENOENT), fail(unix.EACCES))
}

func access(p string, mode uint64) Call {
	show := "F_OK"
	if mode == unix.X_OK {
		show = "X_OK"
	}
	return call(unix.SYS_FACCESSAT2, "faccessat2", cwd(), text(p), flags(mode, show), num(0))
}

// DropBounding takes capabilities out of the bounding set.
type DropBounding struct{ Caps []uint8 }

func (s DropBounding) String() string {
	return fmt.Sprintf("drop %d capabilities for good", len(s.Caps))
}

// Calls implements Step.
func (s DropBounding) Calls(cs []Call) []Call {
	for _, c := range s.Caps {
		cs = append(cs, prctl("PR_CAPBSET_DROP", unix.PR_CAPBSET_DROP, flags(uint64(c), capWord(c))))
	}
	return cs
}

// SetIDs becomes the payload's user, keeping permitted capabilities for the
// steps that follow.
type SetIDs struct {
	UID, GID uint32
	Groups   []uint32
	// MayDeny: the user namespace may deny setgroups(2). No groups are asked
	// for, and DropGroups came before it.
	MayDeny bool
}

func (s SetIDs) String() string {
	return fmt.Sprintf("become %d:%d, groups %v", s.UID, s.GID, s.Groups)
}

// Calls implements Step. The ids are read back: a wrong one is fatal.
func (s SetIDs) Calls(cs []Call) []Call {
	u, g := num(uint64(s.UID)), num(uint64(s.GID))
	cs = append(cs, prctl("PR_SET_KEEPCAPS", unix.PR_SET_KEEPCAPS, num(1)))
	b := make([]byte, 4*len(s.Groups))
	for i, id := range s.Groups {
		binary.NativeEndian.PutUint32(b[4*i:], id)
	}
	groups := call(unix.SYS_SETGROUPS, "setgroups", num(uint64(len(s.Groups))), blob(b, fmt.Sprint(s.Groups)))
	if s.MayDeny {
		groups = groups.ok(unix.EPERM)
	}
	return append(cs, groups,
		call(unix.SYS_SETRESGID, "setresgid", g, g, g),
		call(unix.SYS_SETRESUID, "setresuid", u, u, u),
		call(unix.SYS_GETUID, "getuid").must(int64(s.UID)),
		call(unix.SYS_GETGID, "getgid").must(int64(s.GID)))
}

// SetCaps sets the effective, permitted and inheritable sets.
type SetCaps struct{ Effective, Permitted, Inheritable uint64 }

func (s SetCaps) String() string {
	return fmt.Sprintf("capabilities effective %#x permitted %#x inheritable %#x", s.Effective, s.Permitted, s.Inheritable)
}

// Calls implements Step.
func (s SetCaps) Calls(cs []Call) []Call {
	header := make([]byte, 8)
	binary.NativeEndian.PutUint32(header, unix.LINUX_CAPABILITY_VERSION_3)
	data := make([]byte, 24)
	for i, half := range []uint{0, 32} {
		binary.NativeEndian.PutUint32(data[12*i:], uint32(s.Effective>>half))
		binary.NativeEndian.PutUint32(data[12*i+4:], uint32(s.Permitted>>half))
		binary.NativeEndian.PutUint32(data[12*i+8:], uint32(s.Inheritable>>half))
	}
	show := fmt.Sprintf("{e=%#x p=%#x i=%#x}", s.Effective, s.Permitted, s.Inheritable)
	return append(cs, call(unix.SYS_CAPSET, "capset", blob(header, "{V3}"), blob(data, show)))
}

// RaiseAmbient adds to the ambient set; a kernel or namespace that will not is
// let pass, as other runtimes do.
type RaiseAmbient struct{ Caps []uint8 }

func (s RaiseAmbient) String() string {
	words := make([]string, len(s.Caps))
	for i, c := range s.Caps {
		words[i] = capWord(c)
	}
	return "ambient " + strings.Join(words, " ")
}

// Calls implements Step.
func (s RaiseAmbient) Calls(cs []Call) []Call {
	cs = append(cs, prctl("PR_CAP_AMBIENT", unix.PR_CAP_AMBIENT, flags(unix.PR_CAP_AMBIENT_CLEAR_ALL, "CLEAR_ALL")))
	for _, c := range s.Caps {
		cs = append(cs, prctl("PR_CAP_AMBIENT", unix.PR_CAP_AMBIENT, flags(unix.PR_CAP_AMBIENT_RAISE, "RAISE"), flags(uint64(c), capWord(c))).ok(unix.EPERM))
	}
	return cs
}

// NoNewPrivileges makes setuid programs and file capabilities powerless.
type NoNewPrivileges struct{}

func (NoNewPrivileges) String() string { return "no new privileges" }

// Calls implements Step.
func (NoNewPrivileges) Calls(cs []Call) []Call {
	return append(cs, prctl("PR_SET_NO_NEW_PRIVS", unix.PR_SET_NO_NEW_PRIVS, num(1)))
}

// Seccomp installs a filter.
type Seccomp struct {
	Prog     []seccomp.Insn
	Flags    uint32
	Listener int // the descriptor that it returns; 0: it has no listener
}

func (s Seccomp) String() string {
	words := fmt.Sprintf("system call filter of %d instructions", len(s.Prog))
	if s.Listener != 0 {
		words += ", its listener as descriptor " + strconv.Itoa(s.Listener)
	}
	return words
}

// Calls implements Step. struct sock_fprog is a count and a pointer.
func (s Seccomp) Calls(cs []Call) []Call {
	code := make([]byte, 8*len(s.Prog))
	for i, in := range s.Prog {
		binary.NativeEndian.PutUint16(code[8*i:], in.Code)
		code[8*i+2], code[8*i+3] = in.Jt, in.Jf
		binary.NativeEndian.PutUint32(code[8*i+4:], in.K)
	}
	prog := make([]byte, 16)
	binary.NativeEndian.PutUint16(prog, uint16(len(s.Prog)))
	arg := blob(prog, "{"+strconv.Itoa(len(s.Prog))+" instructions}")
	arg.More.Refs = []Ref{{Offset: 8, Target: code}}
	const setModeFilter = 1 // SECCOMP_SET_MODE_FILTER
	c := call(unix.SYS_SECCOMP, "seccomp", flags(setModeFilter, "SET_MODE_FILTER"), num(uint64(s.Flags)), arg)
	if s.Listener != 0 {
		c = c.must(int64(s.Listener))
	}
	return append(cs, c)
}

// Exec becomes the payload.
type Exec struct {
	Paths []string // tried in order
	Args  []string
	Env   []string
}

func (s Exec) String() string {
	if len(s.Paths) == 0 {
		return "nothing: there is no process"
	}
	words := make([]string, len(s.Args))
	for i, a := range s.Args {
		words[i] = a
		if a == "" || strings.ContainsAny(a, " \t\n\"'\\$`") {
			words[i] = strconv.Quote(a)
		}
	}
	return strings.Join(words, " ")
}

// Calls implements Step.
func (s Exec) Calls(cs []Call) []Call {
	for _, p := range s.Paths {
		c := call(unix.SYS_EXECVE, "execve", text(p), list("args", s.Args), list("variables", s.Env))
		if len(s.Paths) > 1 {
			c = c.ok(unix.ENOENT, unix.ENOTDIR)
		}
		cs = append(cs, c)
	}
	if len(s.Paths) != 1 {
		cs = append(cs, fail(unix.ENOENT))
	}
	return cs
}

package plan

import (
	"encoding/binary"
	"fmt"
	"path"

	"golang.org/x/sys/unix"
)

// The slots that the planner uses. Work, Tree, Target and Temp are registers:
// they hold something for a few calls only.
const (
	Root      Slot = iota // root directory of the container
	Work                  // file system context, file being written
	Tree                  // detached mount on its way
	Target                // where it goes
	Temp                  // directory on the way there
	Proc                  // a fresh procfs of the container's own pid namespace
	Null                  // the host's /dev/null
	Empty                 // read-only empty tmpfs that hides directories
	Console               // pty master
	Peer                  // pty slave
	Views                 // directory in which control groups are shown
	Start                 // FIFO that start writes to
	Pidfd                 // process whose namespaces are joined
	FirstFree             // inputs: cgroup doors, namespaces
	// FirstHigh is the first slot that the parent cannot fill: beyond what
	// package syscall has to walk through at a fork.
	FirstHigh Slot = MaxSlots
	// HighEnd ends them.
	HighEnd Slot = 250
	// Image is the program that the child executes first.
	Image Slot = MaxSlots - 3
	// Report is the file that the child reports to; it maps it before the first step.
	Report Slot = MaxSlots - 2
	// Sync is the socket to the parent. Its end says exec, or death.
	Sync Slot = MaxSlots - 1
)

// EnterCgroup puts the child into a cgroup v1 hierarchy: it writes "0" to the
// group's tasks file itself, which for one's own single thread skips the
// kernel's lock over all thread groups.
type EnterCgroup struct {
	Name string // the controller, for people
	Dir  string // the group's directory
}

func (s EnterCgroup) String() string { return "enter cgroup " + s.Name }

// Calls implements Step.
func (s EnterCgroup) Calls(cs []Call) []Call {
	return append(cs,
		call(unix.SYS_OPENAT, "openat", cwd(), text(s.Dir+"/tasks"), flags(unix.O_WRONLY|unix.O_CLOEXEC, "O_WRONLY")).into(Work),
		write(Work, "0"),
	)
}

// Unshare makes namespaces that cannot be made at birth: a cgroup namespace
// must be made inside the cgroup, a time namespace needs its offsets first.
type Unshare struct{ Flags uint64 }

func (s Unshare) String() string { return "unshare " + NamespaceWords(s.Flags) }

// Calls implements Step.
func (s Unshare) Calls(cs []Call) []Call {
	return append(cs, call(unix.SYS_UNSHARE, "unshare", flags(s.Flags, namespaceFlags(s.Flags))))
}

// EnterTime moves the child into the time namespace it unshared, after the
// parent wrote the offsets.
type EnterTime struct{}

func (EnterTime) String() string { return "enter the new time namespace" }

// Calls implements Step.
func (EnterTime) Calls(cs []Call) []Call {
	return append(cs,
		call(unix.SYS_OPENAT, "openat", cwd(), text("/proc/self/ns/time_for_children"), flags(unix.O_RDONLY|unix.O_CLOEXEC, "O_RDONLY")).into(Work),
		call(unix.SYS_SETNS, "setns", slot(Work), flags(unix.CLONE_NEWTIME, "CLONE_NEWTIME")),
	)
}

// JoinNamespaces enters namespaces behind a descriptor: one namespace file, or
// a pidfd and any set of its process's namespaces.
type JoinNamespaces struct {
	From  Slot
	Flags uint64
	What  string
}

func (s JoinNamespaces) String() string {
	return "join " + NamespaceWords(s.Flags) + " of " + s.What
}

// Calls implements Step.
func (s JoinNamespaces) Calls(cs []Call) []Call {
	return append(cs, call(unix.SYS_SETNS, "setns", slot(s.From), flags(s.Flags, namespaceFlags(s.Flags))))
}

// EnterNetwork enters the network namespace that the parent has made.
type EnterNetwork struct{ From Slot }

func (EnterNetwork) String() string { return "enter the new network namespace" }

// Calls implements Step.
func (s EnterNetwork) Calls(cs []Call) []Call {
	return JoinNamespaces{From: s.From, Flags: unix.CLONE_NEWNET}.Calls(cs)
}

// Fork goes on in a new process, a sibling: only a new process is inside a
// joined pid namespace. The old one leaves the new pid in the report.
type Fork struct{}

func (Fork) String() string { return "go on in a new process inside the pid namespace" }

// Calls implements Step.
func (Fork) Calls(cs []Call) []Call {
	c := call(unix.SYS_CLONE, "clone", flags(unix.CLONE_PARENT|uint64(unix.SIGCHLD), "CLONE_PARENT|SIGCHLD"),
		num(0), num(0), num(0), num(0))
	c.Fork = true
	return append(cs, c)
}

// EndAtExec makes descriptors close at exec, so that their other end sees it.
type EndAtExec struct{ Start bool }

func (EndAtExec) String() string { return "tell the other side of exec by closing" }

// Calls implements Step.
func (s EndAtExec) Calls(cs []Call) []Call {
	cs = append(cs, endAtExec(Sync))
	if s.Start {
		cs = append(cs, endAtExec(Start))
	}
	return cs
}

func endAtExec(s Slot) Call {
	return call(unix.SYS_FCNTL, "fcntl", slot(s), flags(unix.F_SETFD, "F_SETFD"), flags(unix.FD_CLOEXEC, "FD_CLOEXEC"))
}

// DieWithParent makes the kernel kill the child when its parent dies; Off
// ends that.
type DieWithParent struct{ Off bool }

func (s DieWithParent) String() string {
	if s.Off {
		return "outlive the parent"
	}
	return "die with the parent"
}

// Calls implements Step.
func (s DieWithParent) Calls(cs []Call) []Call {
	sig := flags(uint64(unix.SIGKILL), "SIGKILL")
	if s.Off {
		sig = num(0)
	}
	return append(cs, prctl("PR_SET_PDEATHSIG", unix.PR_SET_PDEATHSIG, sig))
}

// Hide makes the child's memory and descriptors unreadable to others until exec.
type Hide struct{}

func (Hide) String() string { return "be unreadable until exec" }

// Calls implements Step.
func (Hide) Calls(cs []Call) []Call {
	return append(cs, prctl("PR_SET_DUMPABLE", unix.PR_SET_DUMPABLE, num(0)))
}

// WaitFor is a Point: one byte to the parent, one byte back.
type WaitFor struct{ Point Point }

func (s WaitFor) String() string { return "wait for the parent: " + s.Point.String() }

// Calls implements Step.
func (s WaitFor) Calls(cs []Call) []Call {
	return wait(cs, s.Point)
}

// AwaitStart waits on a FIFO until somebody writes to it. The FIFO stays open
// until exec, so that the writer sees the moment in its end.
type AwaitStart struct{}

func (AwaitStart) String() string { return "wait for start" }

// Calls implements Step.
func (AwaitStart) Calls(cs []Call) []Call {
	return append(cs, call(unix.SYS_READ, "read", slot(Start), blob(make([]byte, 1), "buf"), num(1)).must(1))
}

// DropGroups gives up the caller's groups while nothing can deny it: a user
// namespace may.
type DropGroups struct{}

func (DropGroups) String() string { return "drop the caller's groups" }

// Calls implements Step.
func (DropGroups) Calls(cs []Call) []Call {
	return append(cs, call(unix.SYS_SETGROUPS, "setgroups", num(0), null()))
}

// BecomeRoot takes on uid and gid 0 of a new user namespace.
type BecomeRoot struct{}

func (BecomeRoot) String() string { return "become root of the user namespace" }

// Calls implements Step.
func (BecomeRoot) Calls(cs []Call) []Call {
	return append(cs,
		call(unix.SYS_SETRESGID, "setresgid", num(0), num(0), num(0)),
		call(unix.SYS_SETRESUID, "setresuid", num(0), num(0), num(0)),
	)
}

// Propagation changes how mounts of the child's namespace, all of them, are
// tied to others.
type Propagation struct{ Flags uint64 }

func (s Propagation) String() string { return "make every mount " + propagationWord(s.Flags) }

// Calls implements Step.
func (s Propagation) Calls(cs []Call) []Call {
	return append(cs, call(unix.SYS_MOUNT, "mount", null(), text("/"), null(),
		flags(s.Flags|unix.MS_REC, "MS_REC|"+propagationWord(s.Flags)), null()))
}

// Untie makes one mount private, so that what is attached in it does not show
// elsewhere.
type Untie struct{ Path string }

func (s Untie) String() string { return "leave mounts as they are, but make private " + s.Path }

// Calls implements Step.
func (s Untie) Calls(cs []Call) []Call {
	return append(cs, call(unix.SYS_MOUNT, "mount", null(), text(s.Path), null(), flags(unix.MS_PRIVATE, "private"), null()))
}

// NewMount makes a file system, detached, in slot Into.
type NewMount struct {
	FS, Source string
	Data       []string // words of the file system: key=value or flag
	Attr       uint64   // MOUNT_ATTR_*
	Into       Slot
	Work       Slot
	What       string
}

func (s NewMount) String() string { return s.What }

// Calls implements Step.
func (s NewMount) Calls(cs []Call) []Call { return newMount(cs, s) }

// CloneRoot takes the root file system from a directory of the host.
type CloneRoot struct{ Path string }

func (s CloneRoot) String() string { return "root from directory " + s.Path }

// Calls implements Step.
func (s CloneRoot) Calls(cs []Call) []Call { return append(cs, cloneTree(cwd(), s.Path, true, Root)) }

// AttachRoot puts the root tree onto a directory of the child's mount namespace.
type AttachRoot struct {
	Path        string
	Propagation uint64
}

func (s AttachRoot) String() string { return "attach root at " + s.Path }

// Calls implements Step.
func (s AttachRoot) Calls(cs []Call) []Call {
	return append(cs,
		setattr(Root, true, 0, 0, s.Propagation),
		attachAt(Root, s.Path),
	)
}

// PrivateRoot unties the root from what it was attached to: below a shared mount
// it has become shared.
type PrivateRoot struct{}

func (PrivateRoot) String() string { return "nothing below root shows elsewhere" }

// Calls implements Step.
func (PrivateRoot) Calls(cs []Call) []Call {
	return append(cs, setattr(Root, true, 0, 0, unix.MS_PRIVATE))
}

// ClassicRoot mounts the root with mount(2), for file systems whose options do
// not fit through fsconfig(2), and opens it.
type ClassicRoot struct {
	FS, Source, Path, Data string
	Flags                  uint64
}

func (s ClassicRoot) String() string { return s.FS + " as root at " + s.Path }

// Calls implements Step.
func (s ClassicRoot) Calls(cs []Call) []Call {
	return append(cs,
		call(unix.SYS_MOUNT, "mount", text(s.Source), text(s.Path), text(s.FS), num(s.Flags), text(s.Data)),
		call(unix.SYS_OPENAT, "openat", cwd(), text(s.Path), flags(unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, "O_PATH|O_DIRECTORY")).into(Root),
	)
}

// MakeNode makes a device, FIFO or file below the root.
type MakeNode struct {
	Path     string
	Mode     uint64 // type and permission bits
	Dev      uint64
	UID, GID uint32
	// Check has the parent compare what is there already; it is in slot Temp.
	Check bool
}

func (s MakeNode) String() string {
	if s.Dev == 0 {
		return "node " + s.Path
	}
	return fmt.Sprintf("device %s %d:%d", s.Path, unix.Major(s.Dev), unix.Minor(s.Dev))
}

// Calls implements Step. An existing node stays, as when an image has it.
func (s MakeNode) Calls(cs []Call) []Call {
	dir, name := path.Split(s.Path)
	cs = resolve(cs, Root, dir, true, inRoot, Temp, Target)
	node := mknodat(Target, name, s.Mode, s.Dev).ok(unix.EEXIST)
	if s.Check {
		cs = append(cs, node.skip(3), openat2(Target, name, unix.O_PATH|unix.O_NOFOLLOW, 0, beneath).into(Temp))
		cs = wait(cs, Checked)
	} else {
		cs = append(cs, node)
	}
	if s.UID|s.GID != 0 {
		cs = append(cs, call(unix.SYS_FCHOWNAT, "fchownat", slot(Target), text(name), num(uint64(s.UID)), num(uint64(s.GID)), flags(unix.AT_SYMLINK_NOFOLLOW, "NOFOLLOW")))
	}
	return cs
}

// Symlink makes a link below the root; one that is there stays.
type Symlink struct {
	To, Path string
	In       Slot // the directory of Path, where nothing has that name; 0: it is looked up
}

func (s Symlink) String() string { return "link " + s.Path + " → " + s.To }

// Calls implements Step.
func (s Symlink) Calls(cs []Call) []Call {
	dir, name := path.Split(s.Path)
	if s.In != 0 {
		return append(cs, call(unix.SYS_SYMLINKAT, "symlinkat", text(s.To), slot(s.In), text(name)))
	}
	return append(resolve(cs, Root, dir, true, inRoot, Temp, Target),
		call(unix.SYS_SYMLINKAT, "symlinkat", text(s.To), slot(Target), text(name)).ok(unix.EEXIST))
}

// OpenViews opens the directory that control groups are to be shown in.
type OpenViews struct {
	Dir  string
	Into Slot
}

func (s OpenViews) String() string { return "open " + s.Dir }

// Calls implements Step.
func (s OpenViews) Calls(cs []Call) []Call {
	rel := relative(s.Dir)
	return append(cs, openat2(Root, rel, unix.O_PATH|unix.O_DIRECTORY, 0, inRoot).into(s.Into))
}

// OpenNull keeps what hides things. The empty directory is attached below the
// root to come, out of sight: before Linux 6.15 only attached trees can be copied.
type OpenNull struct{ Below string }

func (OpenNull) String() string {
	return "keep the host's /dev/null and an empty directory to hide things"
}

// Calls implements Step.
func (s OpenNull) Calls(cs []Call) []Call {
	cs = append(cs, call(unix.SYS_OPENAT, "openat", cwd(), text("/dev/null"), flags(unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, "O_PATH|O_NOFOLLOW")).into(Null))
	cs = newMount(cs, NewMount{FS: "tmpfs", Source: "tmpfs", Data: []string{"nr_blocks=1", "nr_inodes=1"}, Attr: unix.MOUNT_ATTR_RDONLY, Into: Empty, Work: Work})
	return append(cs, attachAt(Empty, s.Below))
}

// attachAt moves a tree onto a directory of the host's tree, in the child's own
// mount namespace.
func attachAt(s Slot, dir string) Call {
	return call(unix.SYS_MOVE_MOUNT, "move_mount", slot(s), text(""), cwd(), text(dir),
		flags(unix.MOVE_MOUNT_F_EMPTY_PATH, "F_EMPTY"))
}

// Mask hides a file behind /dev/null, a directory behind an empty one. What is
// not there needs no hiding.
type Mask struct{ Path string }

func (s Mask) String() string { return "hide " + s.Path }

// Calls implements Step. What it is is asked first: a copy that turns out to be
// the wrong one is a mount to take down, which waits for other processors.
func (s Mask) Calls(cs []Call) []Call {
	rel := relative(s.Path)
	return append(cs,
		openat2(Root, rel, unix.O_PATH|unix.O_DIRECTORY, 0, noLinks).into(Target).ok(unix.ENOENT, unix.ENOTDIR).skip(4),
		openat2(Root, rel, unix.O_PATH, 0, noLinks).into(Target).ok(unix.ENOENT, unix.ENOTDIR).skip(1),
		jump(4),
		cloneTree(slot(Null), "", false, Tree),
		attach(Tree, Target).skip(2),
		cloneTree(slot(Empty), "", false, Tree),
		attach(Tree, Target),
	)
}

// ReadOnly puts a read-only view of a path over itself.
type ReadOnly struct{ Path string }

func (s ReadOnly) String() string { return "make read-only " + s.Path }

// Calls implements Step.
func (s ReadOnly) Calls(cs []Call) []Call {
	rel := relative(s.Path)
	return append(cs,
		openat2(Root, rel, unix.O_PATH, 0, noLinks).into(Target).ok(unix.ENOENT, unix.ENOTDIR).skip(1),
		jump(3),
		cloneTree(slot(Target), "", true, Tree),
		setattr(Tree, true, unix.MOUNT_ATTR_RDONLY, 0, 0),
		attach(Tree, Target),
	)
}

// ReadOnlyTree makes a mount that is already in place read-only.
type ReadOnlyTree struct{ Path string }

func (s ReadOnlyTree) String() string { return "make mount " + s.Path + " read-only" }

// Calls implements Step.
func (s ReadOnlyTree) Calls(cs []Call) []Call {
	rel := relative(s.Path)
	if rel == "" {
		return append(cs, setattr(Root, false, unix.MOUNT_ATTR_RDONLY, 0, 0))
	}
	return append(cs,
		openat2(Root, rel, unix.O_PATH, 0, inRoot).into(Target),
		setattr(Target, false, unix.MOUNT_ATTR_RDONLY, 0, 0),
	)
}

// Pivot makes the root tree the root of the mount namespace and lets the old
// one go. Both are ".", so no directory for the old root is needed; see
// pivot_root(2), NOTES.
type Pivot struct {
	Shared bool // the old root's mounts are the machine's peers: untied first
}

func (Pivot) String() string { return "pivot into the root" }

// Calls implements Step.
func (s Pivot) Calls(cs []Call) []Call {
	if s.Shared {
		cs = append(cs, call(unix.SYS_OPENAT, "openat", cwd(), text("/"), flags(unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, "O_PATH|O_DIRECTORY")).into(Work))
	}
	cs = append(cs,
		call(unix.SYS_FCHDIR, "fchdir", slot(Root)),
		call(unix.SYS_PIVOT_ROOT, "pivot_root", text("."), text(".")))
	if s.Shared { // or they would go on the machine, too; "." alone is the new root's
		cs = append(cs,
			call(unix.SYS_FCHDIR, "fchdir", slot(Work)),
			call(unix.SYS_MOUNT, "mount", null(), text("."), null(), flags(unix.MS_SLAVE|unix.MS_REC, "MS_REC|slave"), null()))
	}
	return append(cs,
		call(unix.SYS_UMOUNT2, "umount2", text("."), flags(unix.MNT_DETACH, "MNT_DETACH")),
		call(unix.SYS_CHDIR, "chdir", text("/")))
}

// OpenRoot takes the directory of the root as it is, for a container in the
// runtime's own mount namespace.
type OpenRoot struct{ Path string }

func (s OpenRoot) String() string { return "root is directory " + s.Path + " of the machine" }

// Calls implements Step.
func (s OpenRoot) Calls(cs []Call) []Call {
	return append(cs, call(unix.SYS_OPENAT, "openat", cwd(), text(s.Path), flags(unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, "O_PATH|O_DIRECTORY")).into(Root))
}

// ChangeRoot goes into the root in a mount namespace that others have, too.
type ChangeRoot struct{}

func (ChangeRoot) String() string { return "change the root; its mount namespace belongs to others" }

// Calls implements Step.
func (ChangeRoot) Calls(cs []Call) []Call {
	return append(cs,
		call(unix.SYS_FCHDIR, "fchdir", slot(Root)),
		call(unix.SYS_CHROOT, "chroot", text(".")),
		call(unix.SYS_CHDIR, "chdir", text("/")),
	)
}

// CoverOld takes a mount of the machine's tree away, or where it is locked
// puts an empty one over it.
type CoverOld struct{ Path string }

func (s CoverOld) String() string { return "take away the machine's " + s.Path }

// Calls implements Step. All mounts are slaves by now: nobody else notices.
func (s CoverOld) Calls(cs []Call) []Call {
	return append(cs,
		call(unix.SYS_UMOUNT2, "umount2", text(s.Path), flags(unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW, "MNT_DETACH|NOFOLLOW")).ok(unix.EINVAL, unix.EPERM).skip(1),
		call(unix.SYS_MOUNT, "mount", text("tmpfs"), text(s.Path), text("tmpfs"), num(0), null()).ok(unix.ENOENT),
	)
}

// MoveRoot puts the root tree over the machine's root and goes there. Unlike
// Pivot it leaves the old root below: who may chroot(2) can get at it.
type MoveRoot struct{}

func (MoveRoot) String() string { return "move the root to / and go there, without pivot" }

// Calls implements Step.
func (MoveRoot) Calls(cs []Call) []Call {
	return append(cs,
		call(unix.SYS_FCHDIR, "fchdir", slot(Root)),
		call(unix.SYS_MOUNT, "mount", text("."), text("/"), null(), flags(unix.MS_MOVE, "MS_MOVE"), null()),
		call(unix.SYS_CHROOT, "chroot", text(".")),
		call(unix.SYS_CHDIR, "chdir", text("/")),
	)
}

// RootPropagation ties the new root to others as asked, after the pivot.
type RootPropagation struct{ Flags uint64 }

func (s RootPropagation) String() string { return "make the root " + propagationWord(s.Flags) }

// Calls implements Step.
func (s RootPropagation) Calls(cs []Call) []Call {
	return append(cs, call(unix.SYS_MOUNT, "mount", null(), text("/"), null(), flags(s.Flags, propagationWord(s.Flags)), null()))
}

// FreshProc keeps a procfs of the container's own pid namespace that nothing
// in the image can stand in front of.
type FreshProc struct{}

func (FreshProc) String() string { return "keep a procfs nobody can cover" }

// Calls implements Step.
func (FreshProc) Calls(cs []Call) []Call {
	return newMount(cs, NewMount{FS: "proc", Source: "proc", Attr: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC, Into: Proc, Work: Work})
}

// WriteProc writes to a file below the procfs in slot Proc.
type WriteProc struct{ Path, Data, What string }

func (s WriteProc) String() string { return s.What }

// Calls implements Step.
func (s WriteProc) Calls(cs []Call) []Call { return writeFile(cs, Proc, s.Path, s.Data, beneath, Work) }

// WriteSelf writes to a file of the host's procfs about the child itself,
// before the root changes.
type WriteSelf struct {
	File, Data, What string
	Try              bool // EPERM and EACCES are let pass
}

func (s WriteSelf) String() string { return s.What }

// Calls implements Step.
func (s WriteSelf) Calls(cs []Call) []Call {
	open := call(unix.SYS_OPENAT, "openat", cwd(), text("/proc/self/"+s.File), flags(unix.O_WRONLY|unix.O_CLOEXEC, "O_WRONLY")).into(Work)
	w := write(Work, s.Data)
	if s.Try {
		open = open.ok(unix.EACCES, unix.EPERM).skip(1)
		w = w.ok(unix.EACCES, unix.EPERM)
		return append(cs, open, jump(1), w)
	}
	return append(cs, open, w)
}

// Hostname sets the UTS names; an empty one is left alone.
type Hostname struct{ Host, Domain string }

func (s Hostname) String() string {
	switch {
	case s.Domain == "":
		return "host name " + s.Host
	case s.Host == "":
		return "domain name " + s.Domain
	}
	return "host name " + s.Host + ", domain name " + s.Domain
}

// Calls implements Step.
func (s Hostname) Calls(cs []Call) []Call {
	if s.Host != "" {
		cs = append(cs, call(unix.SYS_SETHOSTNAME, "sethostname", quoted(s.Host), num(uint64(len(s.Host)))))
	}
	if s.Domain != "" {
		cs = append(cs, call(unix.SYS_SETDOMAINNAME, "setdomainname", quoted(s.Domain), num(uint64(len(s.Domain)))))
	}
	return cs
}

// LoopbackUp switches on lo of a network namespace that the child has made.
type LoopbackUp struct{}

func (LoopbackUp) String() string { return "bring up lo" }

// Calls implements Step.
func (LoopbackUp) Calls(cs []Call) []Call {
	ifreq := make([]byte, 40) // struct ifreq: name, then flags
	copy(ifreq, "lo")
	binary.NativeEndian.PutUint16(ifreq[unix.IFNAMSIZ:], unix.IFF_UP|unix.IFF_RUNNING)
	return append(cs,
		call(unix.SYS_SOCKET, "socket", flags(unix.AF_INET, "AF_INET"), flags(unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, "SOCK_DGRAM"), num(0)).into(Work),
		call(unix.SYS_IOCTL, "ioctl", slot(Work), flags(unix.SIOCSIFFLAGS, "SIOCSIFFLAGS"), blob(ifreq, "{lo IFF_UP|IFF_RUNNING}")),
	)
}

// NewKeyring gives the container a session keyring of its own.
type NewKeyring struct{}

func (NewKeyring) String() string { return "new session keyring" }

// Calls implements Step. A kernel without keys, or a filter around us that
// forbids them, leaves nothing to protect.
func (NewKeyring) Calls(cs []Call) []Call {
	return append(cs, call(unix.SYS_KEYCTL, "keyctl", flags(unix.KEYCTL_JOIN_SESSION_KEYRING, "JOIN_SESSION_KEYRING"), text("berth")).ok(unix.ENOSYS, unix.EPERM, unix.EDQUOT))
}

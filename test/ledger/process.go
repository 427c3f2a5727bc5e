package ledger

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// process is what /proc says of one.
type process struct {
	pid, parent int
	name        string
	state       string
	marks       []string // texts that may bear a mark
}

// processes lists the descendants of the test and those that bear a mark: in
// command line, working directory or cgroup. Whoever was given to another
// parent, as a monitor is, has only its marks to be known by.
func (v *view) processes() {
	all := make(map[int]process)
	dirs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is constant
	for _, d := range dirs {
		if p, ok := readProcess(d); ok {
			all[p.pid] = p
		}
	}
	self := os.Getpid()
	for _, p := range all {
		if p.pid == self {
			continue
		}
		if (!v.Shared && descends(all, p, self)) || v.ours(p.marks...) {
			v.add("process", strconv.Itoa(p.pid)+" "+p.name+" "+p.state+" "+p.marks[0])
		}
	}
}

func readProcess(dir string) (process, bool) {
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return process{}, false // gone meanwhile
	}
	// pid (name) state ppid …; the name may hold anything, brackets too.
	text := string(stat)
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return process{}, false
	}
	rest := strings.Fields(text[end+1:])
	if len(rest) < 2 {
		return process{}, false
	}
	p := process{name: text[open+1 : end], state: "running"}
	if rest[0] == "Z" {
		p.state = "zombie"
	}
	p.pid, _ = strconv.Atoi(strings.TrimSpace(text[:open])) // the kernel writes numbers
	p.parent, _ = strconv.Atoi(rest[1])
	args, _ := os.ReadFile(dir + "/cmdline") // empty for a zombie
	cwd, _ := os.Readlink(dir + "/cwd")
	groups, _ := os.ReadFile(dir + "/cgroup")
	p.marks = []string{strings.ReplaceAll(strings.Trim(string(args), "\x00"), "\x00", " "), cwd, string(groups)}
	return p, true
}

func descends(all map[int]process, p process, from int) bool {
	for range 64 { // deeper than any tree of ours; ends a loop of reused ids
		if p.parent == from {
			return true
		}
		next, ok := all[p.parent]
		if !ok {
			return false
		}
		p = next
	}
	return false
}

// descriptors lists the open files of the test process by what they are, not
// by number. Go's own (epoll, its wake-up event) are not counted, nor the
// directory that this listing reads.
func (v *view) descriptors() {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil || goRuntime(target) {
			continue
		}
		v.add("fd", target)
	}
}

func goRuntime(target string) bool {
	return target == "anon_inode:[eventpoll]" || target == "anon_inode:[eventfd]" ||
		strings.HasPrefix(target, "/proc/") || strings.HasPrefix(target, "/sys/fs/cgroup/")
}

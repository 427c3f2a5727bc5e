package cgroup

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

const (
	// One process alone asks for memory: another's page, while the first
	// victim's are not free yet, makes the kernel kill a second one.
	hog  = "ulimit -v 60000; tail /dev/zero; echo"
	tiny = int64(16 << 20)

	silent = "the kernel's log has no report: it makes ten in five seconds at most"
)

// news waits for the watch to speak.
func news(t *testing.T, w *Watch) bool {
	t.Helper()
	told := false
	until(t, "an event", func() bool {
		p := []unix.PollFd{w.Poll()}
		if _, err := unix.Poll(p, 20); err != nil && !errors.Is(err, unix.EINTR) {
			t.Fatal(err)
		}
		var err error
		if told, err = w.News(); err != nil {
			t.Fatal(err)
		}
		return told
	})
	return told
}

func TestWatchOOM(t *testing.T) {
	g := newGroup(t)
	needs(t, g, "memory")
	size := tiny
	create(t, g, &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &size, Swap: &size}})
	w, err := g.WatchOOM()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if told, err := w.News(); told || err != nil {
		t.Fatalf("before anything: news %v, %v", told, err)
	}
	p := enter(t, g, hog)
	news(t, w)
	p.line(t)
	p.Wait()
	// One kill is told once. (v1 may signal more than once for one: the other
	// process wants memory while the victim still has it.)
	if told, err := w.News(); told && w.ahead == 0 || err != nil {
		t.Errorf("the same kill again: news %v, %v", told, err)
	}
	victims, err := g.Victims()
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOENT) {
		t.Skip("no right to read the kernel's log:", err)
	}
	if len(victims) == 0 && err == nil {
		t.Skip(silent)
	}
	if err != nil || len(victims) != 1 {
		t.Fatalf("victims %+v, %v; want one", victims, err)
	}
	v := victims[0]
	if v.Name != "tail" || v.Group != v.Limit || !strings.HasSuffix(g.find("memory").path, v.Group) || v.Pid <= 0 {
		t.Errorf("victim %+v", v)
	}
	if err := g.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if told, err := w.News(); told || err != nil || w.Poll().Fd != -1 {
		t.Errorf("after the end: news %v, %v, descriptor %d", told, err, w.Poll().Fd)
	}
}

// TestWatchOOMBelow has a group below the container's run out of memory.
func TestWatchOOMBelow(t *testing.T) {
	g := newGroup(t)
	needs(t, g, "memory")
	create(t, g, nil)
	size := tiny
	sub := g.below("sub")
	create(t, sub, &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &size, Swap: &size}})
	w, err := g.WatchOOM()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	p := enter(t, sub, hog)
	news(t, w)
	p.line(t)
	p.Wait()
	victims, err := g.Victims()
	if err != nil {
		t.Skip("no right to read the kernel's log:", err)
	}
	if len(victims) == 0 {
		t.Skip(silent)
	}
	if len(victims) != 1 || !strings.HasSuffix(victims[0].Limit, "/sub") {
		t.Errorf("victims %+v", victims)
	}
}

// TestWatchOOMWithoutKiller: v1 can be told to stop processes instead of
// killing one; only the eventfd speaks then.
func TestWatchOOMWithoutKiller(t *testing.T) {
	g := newGroup(t)
	needs(t, g, "memory")
	if g.find("memory").unified {
		t.Skip("cgroup v2 cannot switch the OOM killer off")
	}
	size := tiny
	create(t, g, &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &size, Swap: &size, DisableOOMKiller: ptr(true)}})
	w, err := g.WatchOOM()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	enter(t, g, hog)
	news(t, w)
	if n, err := g.OOMKills(); n != 0 || err != nil {
		t.Errorf("%d kills, %v; want none", n, err)
	}
}

func TestParseVictim(t *testing.T) {
	const head = "3,814,506938,-;oom-kill:constraint="
	memcg := head + "CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,"
	for _, tt := range []struct {
		name, record string
		want         Victim
		ok           bool
	}{
		{"own limit", memcg + "oom_memcg=/a,task_memcg=/a/b,task=hog,pid=42,uid=7\n SUBSYSTEM=x\n", Victim{42, 7, "hog", "/a/b", "/a"}, true},
		{"the machine", head + "CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/a,task=hog,pid=42,uid=0\n", Victim{42, 0, "hog", "/a", ""}, true},
		{"a name that lies", memcg + "oom_memcg=/a,task_memcg=/a,task=x,pid=1,uid=2,pid=42,uid=7", Victim{42, 7, "x,pid=1,uid=2", "/a", "/a"}, true},
		{"a name that names", memcg + "oom_memcg=/a,task_memcg=/a,task=,task=x,pid=42,uid=7", Victim{42, 7, ",task=x", "/a", "/a"}, true},
		{"a group that lies", memcg + "oom_memcg=/a,task_memcg=/a/,task=y,pid=3,task=hog,pid=42,uid=7", Victim{42, 7, "hog", "/a/,task=y,pid=3", "/a"}, true},
		{"another line", "6,1,2,-;Memory cgroup out of memory: Killed process 42 (hog)", Victim{}, false},
		{"no number", memcg + "oom_memcg=/a,task_memcg=/a,task=hog,pid=,uid=7", Victim{}, false},
		{"cut", head + "CONSTRAINT_MEMCG", Victim{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := parseVictim(tt.record)
			if ok != tt.ok || ok && !cmp.Equal(got, tt.want) {
				t.Errorf("got %+v, %v, want %+v, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}

func TestInGroup(t *testing.T) {
	for _, tt := range []struct {
		group, name string
		want        bool
	}{
		{"/a", "/a", true},
		{"/a/b", "/a", true},
		{"/ab", "/a", false},
		{"/", "/a", false},
		{"/docker/x/a/b", "/a", true}, // seen from inside of /docker/x
	} {
		if got := inGroup(tt.group, tt.name); got != tt.want {
			t.Errorf("%s in %s: %v", tt.group, tt.name, got)
		}
	}
}

func FuzzVictim(f *testing.F) {
	f.Add("3,8,5,-;oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/a,task_memcg=/a/b,task=hog,pid=42,uid=7\n")
	f.Add(";oom-kill:constraint=,task_memcg=,task=,pid=1,uid=0")
	f.Fuzz(func(t *testing.T, record string) {
		if v, ok := parseVictim(record); ok && (len(v.Name) > 15 || v.Pid <= 0) {
			t.Errorf("%q: %+v", record, v)
		}
	})
}

func TestVictimsOfNobody(t *testing.T) {
	g := newGroup(t)
	needs(t, g, "memory")
	if _, err := os.Stat("/dev/kmsg"); err != nil {
		t.Skip("no kernel log here:", err)
	}
	create(t, g, nil)
	if v, err := g.Victims(); len(v) > 0 || err != nil && !errors.Is(err, unix.EPERM) {
		t.Errorf("%+v, %v", v, err)
	}
}

package engine

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-engine/berth/container"
)

func TestStatusText(t *testing.T) {
	now := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	exit := &container.ExitStatus{Code: 137}
	for _, tt := range []struct {
		s    container.Status
		want string
	}{
		{container.Status{State: container.Created}, "Created"},
		{container.Status{State: container.Running, StartedAt: ago(0)}, "Up Less than a second"},
		{container.Status{State: container.Running, StartedAt: ago(70 * time.Second)}, "Up About a minute"},
		{container.Status{State: container.Running, StartedAt: ago(3 * time.Minute)}, "Up 3 minutes"},
		{container.Status{State: container.Running, StartedAt: now.Add(time.Hour)}, "Up Less than a second"},
		{container.Status{State: container.Paused, StartedAt: ago(2 * time.Hour)}, "Up 2 hours (Paused)"},
		{container.Status{State: container.Exited, Exit: exit, FinishedAt: ago(2 * time.Hour)}, "Exited (137) 2 hours ago"},
		{container.Status{State: container.Exited}, "Exited (0)"},
		{container.Status{State: container.Restarting, Exit: exit, FinishedAt: ago(5 * time.Second)}, "Restarting (137) 5 seconds ago"},
		{container.Status{State: container.Removing}, "Removal In Progress"},
		{container.Status{State: container.Dead}, "Dead"},
	} {
		if got := StatusText(tt.s, now); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.s.State, got, tt.want)
		}
	}
}

func TestChooseLines(t *testing.T) {
	out := "UID          PID    PPID  C STIME TTY          TIME CMD\nroot           1       0  0 10:00 ?        00:00:01 /sbin/init splash\nroot          77       1  0 10:00 pts/0    00:00:00 sh -c sleep 5 | cat\n"
	got, err := chooseLines([]byte(out), []int{77})
	if err != nil {
		t.Fatal(err)
	}
	want := TopResult{
		Titles:    []string{"UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"},
		Processes: [][]string{{"root", "77", "1", "0", "10:00", "pts/0", "00:00:00", "sh -c sleep 5 | cat"}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if _, err := chooseLines([]byte("CMD\nsh\n"), []int{1}); err == nil {
		t.Error("a listing without PID was accepted")
	}
}

// Whatever ps prints, every chosen line has no more fields than the header.
func FuzzChooseLines(f *testing.F) {
	f.Add([]byte("PID CMD\n1 a b c\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		res, err := chooseLines(out, []int{1, 2, 3})
		if err != nil {
			return
		}
		for _, p := range res.Processes {
			if len(p) > len(res.Titles) {
				t.Fatalf("%d fields under %d titles", len(p), len(res.Titles))
			}
		}
	})
}

func TestCapsOf(t *testing.T) {
	if d := cmp.Diff([]string{"CAP_CHOWN", "CAP_KILL"}, capsOf("0000000000000021")); d != "" {
		t.Error(d)
	}
	if capsOf("xyz") != nil {
		t.Error("a mask that is none was read")
	}
}

func TestHostsFile(t *testing.T) {
	got, err := hostsFile(&container.Request{ExtraHosts: []string{"db:10.0.0.1", "six:fe80::1"}}, "box")
	if err != nil || !strings.HasSuffix(got, "10.0.0.1\tdb\nfe80::1\tsix\n") || !strings.Contains(got, "127.0.0.1\tlocalhost\n") {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"x:1.2.3.4\n6.6.6.6 evil", "noip", "a b:1.1.1.1", "gw:host-gateway"} {
		if _, err := hostsFile(&container.Request{ExtraHosts: []string{bad}}, "box"); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestResolvConf(t *testing.T) {
	got, err := resolvConf(&container.Request{DNS: []string{"9.9.9.9"}, DNSSearch: []string{"a.org", "b.org"}, DNSOptions: []string{"ndots:0"}})
	if want := "nameserver 9.9.9.9\nsearch a.org b.org\noptions ndots:0\n"; err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	if _, err := resolvConf(&container.Request{DNS: []string{"1.1.1.1\nsearch evil"}}); err == nil {
		t.Error("a second line was accepted")
	}
}

func TestFilter(t *testing.T) {
	now := time.Now()
	item := func(name string, st container.State, code int, labels map[string]string) Item {
		return Item{
			Container: &container.Container{ID: strings.Repeat(name[:1], 64), Name: name, Created: now, ImageRef: "busybox", Request: container.Request{Labels: labels}},
			Status:    container.Status{State: st, Exit: &container.ExitStatus{Code: code}},
		}
	}
	items := []Item{
		item("web-1", container.Running, 0, map[string]string{"tier": "web", "x": ""}),
		item("db-1", container.Exited, 3, map[string]string{"tier": "db"}),
		item("cache", container.Exited, 0, nil),
	}
	c := &Containers{&rooms{}}
	for _, tt := range []struct {
		name    string
		filters map[string][]string
		want    string
	}{
		{"none", nil, "web-1 db-1 cache"},
		{"name part", map[string][]string{"name": {"-1"}}, "web-1 db-1"},
		{"name anchored with slash", map[string][]string{"name": {"^/web"}}, "web-1"},
		{"same key is or", map[string][]string{"name": {"web", "cache"}}, "web-1 cache"},
		{"keys are and", map[string][]string{"name": {"-1"}, "status": {"exited"}}, "db-1"},
		{"label there", map[string][]string{"label": {"tier"}}, "web-1 db-1"},
		{"label value", map[string][]string{"label": {"tier=db"}}, "db-1"},
		{"exited", map[string][]string{"exited": {"3"}}, "db-1"},
		{"id prefix", map[string][]string{"id": {"^www"}}, "web-1"},
		{"network", map[string][]string{"network": {"none"}}, "web-1 db-1 cache"},
		{"health", map[string][]string{"health": {"healthy"}}, ""},
	} {
		match, err := c.filter(tt.filters, nil)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		var got []string
		for _, it := range items {
			if match(it) {
				got = append(got, it.Name)
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, got, tt.want)
		}
	}
	for _, bad := range []map[string][]string{{"nosuch": {"1"}}, {"status": {"odd"}}, {"exited": {"x"}}, {"is-task": {"maybe"}}} {
		if _, err := c.filter(bad, nil); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
}

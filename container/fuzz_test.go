package container

import (
	"bytes"
	"path"
	"slices"
	"strings"
	"testing"
)

// The oracles here are what callers rely on: targets and sources are absolute
// and clean, numbers are in range, what is accepted is accepted again.

func FuzzParseMountFlag(f *testing.F) {
	for _, s := range []string{
		"type=bind,src=/a,dst=/b,ro", "type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=777", `"type=bind","src=/a,b",dst=/b`,
		"type=bind,src=./x,dst=/b,bind-recursive=readonly,readonly,bind-propagation=rprivate", "src=v,dst=/v", "\"a\nb\"",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseMountFlag(s, "/cwd")
		if err == nil {
			checkMount(t, m)
		}
	})
}

func FuzzParseVolume(f *testing.F) {
	for _, s := range []string{"/a:/b:ro,Z", "data:/b", "/b", "./a:/b:rslave", "a:b:c:d", "..:/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseVolume(s, "/cwd")
		if err == nil {
			checkMount(t, m)
		}
	})
}

func FuzzParseTmpfs(f *testing.F) {
	for _, s := range []string{"/t", "/t:size=64m,mode=1777", "/t:size=50%,exec", "t:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseTmpfs(s)
		if err != nil {
			return
		}
		checkMount(t, m)
		for _, o := range m.Options {
			if strings.ContainsAny(o, ", \n\\") {
				t.Errorf("option %q", o)
			}
		}
	})
}

func checkMount(t *testing.T, m Mount) {
	t.Helper()
	abs := func(p string) bool { return path.IsAbs(p) && path.Clean(p) == p && !strings.Contains(p, "\x00") }
	if !abs(m.Target) || m.Target == "/" {
		t.Errorf("target %q", m.Target)
	}
	if m.Type == "bind" && !abs(m.Source) {
		t.Errorf("source %q", m.Source)
	}
	if m.Size < 0 || m.Mode > 0o7777 || !slices.Contains([]string{"bind", "tmpfs", "volume"}, m.Type) {
		t.Errorf("mount %+v", m)
	}
}

func FuzzParseDevice(f *testing.F) {
	for _, s := range []string{"/dev/x", "/dev/x:/dev/y:rw", "/dev/x:m", "a:b:c:d", "c 1:3 rwm"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := ParseDevice(s); err == nil {
			if !path.IsAbs(d.Host) || !path.IsAbs(d.Container) || d.Perms == "" || strings.Trim(d.Perms, "rwm") != "" {
				t.Errorf("device %+v", d)
			}
		}
		if r, err := ParseDeviceRule(s); err == nil {
			if r.Major < -1 || r.Major >= 1<<12 || r.Minor < -1 || r.Minor >= 1<<20 || !strings.Contains("abc", r.Type) {
				t.Errorf("rule %+v", r)
			}
		}
	})
}

func FuzzParseLimits(f *testing.F) {
	for _, s := range []string{
		"64m", "1.5g", "9223372036854775807", "nofile=1:2", "core=-1", "on-failure:5", "0-3,5", "1.000000001",
		"RTMIN+3", "SIGTERM", "99999999999999999999",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := ParseSize(s); err == nil && n < 0 {
			t.Errorf("size %d", n)
		}
		if n, err := ParseCPUs(s); err == nil && n < 0 {
			t.Errorf("cpus %d", n)
		}
		if u, err := ParseUlimit(s); err == nil && (u.Soft < -1 || u.Hard < -1 || uint64(u.Soft) > uint64(u.Hard)) {
			t.Errorf("ulimit %+v", u)
		}
		if p, err := ParseRestart(s); err == nil && p.MaxRetries < 0 {
			t.Errorf("restart %+v", p)
		}
		if l, err := ParseCPUSet(s); err == nil {
			if len(l) == 0 || l[0] < 0 || l[len(l)-1] > maxCPU || !slices.IsSorted(l) {
				t.Errorf("set %v", l)
			}
		}
		if n, err := ParseSignal(s); err == nil {
			if again, err := ParseSignal(SignalName(n)); err != nil || again != n {
				t.Errorf("signal %d is %d, %v", n, again, err)
			}
		}
		if c, err := ParseCap(s); err == nil {
			if again, err := ParseCap(c); err != nil || again != c {
				t.Errorf("capability %q is %q, %v", c, again, err)
			}
		}
	})
}

func FuzzParseSecurityOpt(f *testing.F) {
	for _, s := range []string{"seccomp=unconfined", "label=type:x", "no-new-privileges:true", "systempaths=unconfined", "seccomp=p"} {
		f.Add(s, []byte(`{"defaultAction":"SCMP_ACT_ALLOW"}`))
	}
	f.Fuzz(func(t *testing.T, opt string, profile []byte) {
		var s Security
		err := ParseSecurityOpt(&s, opt, func(string) ([]byte, error) { return profile, nil })
		if err != nil {
			return
		}
		// Protection goes only by the literal word.
		if s.SystemPathsHidden != nil && !strings.Contains(opt, "unconfined") {
			t.Errorf("%q unmasks", opt)
		}
		if s.Seccomp == "unconfined" && !strings.Contains(opt, "unconfined") {
			t.Errorf("%q turns seccomp off", opt)
		}
	})
}

func FuzzParseEnvFile(f *testing.F) {
	f.Add([]byte("A=1\n#x\nHAVE\nNOT\n  B = 2"))
	f.Add([]byte("\uFEFFA=1\r\n\r\n=x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := ParseEnvFile(bytes.NewReader(data), client)
		if err != nil {
			return
		}
		for _, kv := range list {
			if got, err := ParseEnv(kv, client); err != nil || got != kv {
				t.Errorf("%q is refused as a flag: %v", kv, err)
			}
		}
	})
}

func FuzzFindQuery(f *testing.F) {
	for _, q := range []string{"web", "/web", "ab", "..", "../names", strings.Repeat("a", 64), ""} {
		f.Add(q)
	}
	s, root := open(f)
	c := create(f, s, "web")
	f.Fuzz(func(t *testing.T, q string) {
		got, err := s.Find(q)
		if err == nil && (got.ID != c.ID || (strings.TrimPrefix(q, "/") != "web" && !strings.HasPrefix(c.ID, q))) {
			t.Errorf("%q finds %s in %s", q, got.Name, root)
		}
		if CheckName(q) == nil && strings.ContainsAny(q, "/\x00\n ") {
			t.Errorf("name %q", q)
		}
	})
}

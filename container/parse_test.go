package container

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	units "github.com/docker/go-units"
	"github.com/google/go-cmp/cmp"
	"github.com/moby/sys/signal"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
)

// row is one text with the value or the error that it must give. An error text
// is compared whole: scripts read docker's.
type row[T any] struct {
	in   string
	want T
	err  string
}

func check[T any](t *testing.T, parse func(string) (T, error), rows []row[T]) {
	t.Helper()
	for _, tt := range rows {
		t.Run(tt.in, func(t *testing.T) {
			got, err := parse(tt.in)
			text := ""
			if err != nil {
				text = err.Error()
			}
			if text != tt.err {
				t.Fatalf("error %q, want %q", text, tt.err)
			}
			if err != nil {
				if !errors.Is(err, fault.Invalid) && !errors.Is(err, fault.Unsupported) {
					t.Errorf("class of %v is %v", err, fault.KindOf(err))
				}
				return
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestParseMountFlag(t *testing.T) {
	parse := func(s string) (Mount, error) { return ParseMountFlag(s, "/cwd") }
	check(t, parse, []row[Mount]{
		{"type=bind,src=/a,dst=/b", Mount{Type: "bind", Source: "/a", Target: "/b"}, ""},
		{"type=bind,source=/a/../x,target=/b//c/,readonly", Mount{Type: "bind", Source: "/x", Target: "/b/c", ReadOnly: true}, ""},
		{"TYPE=BIND,SRC=/A,destination=/b,ro=true,consistency=cached", Mount{Type: "bind", Source: "/A", Target: "/b", ReadOnly: true}, ""},
		{"type=bind,src=./rel,dst=/b,ro=0", Mount{Type: "bind", Source: "/cwd/rel", Target: "/b"}, ""},
		{`"type=bind","src=/a,b",dst=/b`, Mount{Type: "bind", Source: "/a,b", Target: "/b"}, ""},
		{"type=bind,src=/a,dst=/b,bind-propagation=rslave", Mount{Type: "bind", Source: "/a", Target: "/b", Propagation: "rslave"}, ""},
		{"type=bind,src=/a,dst=/b,bind-nonrecursive", Mount{Type: "bind", Source: "/a", Target: "/b", Recursive: "disabled"}, ""},
		{"type=bind,src=/a,dst=/b,ro,bind-recursive=writable", Mount{Type: "bind", Source: "/a", Target: "/b", ReadOnly: true, Recursive: "writable"}, ""},
		{"type=bind,src=/a,dst=/b,ro,bind-recursive=readonly,bind-propagation=rprivate", Mount{Type: "bind", Source: "/a", Target: "/b", ReadOnly: true, Recursive: "readonly", Propagation: "rprivate"}, ""},
		{"type=tmpfs,dst=/t,tmpfs-size=64m,tmpfs-mode=1770", Mount{Type: "tmpfs", Target: "/t", Size: 64 << 20, Mode: 0o1770}, ""},
		{"src=vol,dst=/v", Mount{Type: "volume", Source: "vol", Target: "/v"}, ""},
		{"dst=/v,volume-nocopy", Mount{Type: "volume", Target: "/v", NoCopy: true}, ""},

		{"", Mount{}, "value is empty"},
		{"foo", Mount{}, "invalid field 'foo' must be a key=value pair"},
		{"type=bind,src=/x", Mount{}, "target is required"},
		{"type=tmpfs,dst=", Mount{}, "target is required"},
		{"type=bind,src=/x,dst=/y,ro=maybe", Mount{}, "invalid value for ro: maybe"},
		{"type=bind,src=/x,dst=/y,bind-recursive=zz", Mount{}, `invalid value for bind-recursive: zz (must be "enabled", "disabled", "writable", or "readonly")`},
		{"type=bind,src=/x,dst=/y,bind-recursive=writable", Mount{}, "option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction"},
		{"type=bind,src=/x,dst=/y,bind-recursive=readonly", Mount{}, "option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction"},
		{"type=bind,src=/x,dst=/y,bind-recursive=readonly,readonly", Mount{}, "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction"},
		{"type=bind,src=/x,dst=/y,bind-propagation=up", Mount{}, "invalid value for bind-propagation: up"},
		{"type=bind,src=/x,dst=/y,tmpfs-size=1", Mount{}, "cannot mix 'tmpfs-*' options with mount type 'bind'"},
		{"type=tmpfs,dst=/y,bind-propagation=slave", Mount{}, "cannot mix 'bind-*' options with mount type 'tmpfs'"},
		{"type=tmpfs,dst=/y,tmpfs-size=abc", Mount{}, "invalid value for tmpfs-size: abc"},
		{"type=tmpfs,dst=/y,tmpfs-mode=9", Mount{}, "invalid value for tmpfs-mode: 9"},
		{"type=tmpfs,dst=/y,tmpfs-mode=77777", Mount{}, "invalid value for tmpfs-mode: 77777"},
		{"type=tmpfs,dst=/y,foo=9", Mount{}, "unexpected key 'foo' in 'foo=9'"},
		{"type=tmpfs, dst=/y", Mount{}, "unexpected key ' dst' in ' dst=/y'"},
		{"type=tmpfs,src=/x,dst=/y", Mount{}, `invalid mount config for type "tmpfs": field Source must not be specified`},
		{"type=,dst=/y", Mount{}, "type is required"},
		{"type=zz,dst=/y", Mount{}, `mount type unknown: "zz"`},
		{"type=bind,dst=/y", Mount{}, `invalid mount config for type "bind": field Source must not be empty`},
		{"type=bind,src=rel,dst=/y", Mount{}, `invalid mount config for type "bind": invalid mount path: 'rel' mount path must be absolute`},
		{"type=bind,src=/x,dst=y", Mount{}, `invalid mount config for type "bind": invalid mount path: 'y' mount path must be absolute`},
		{"type=bind,src=/x,dst=/y/..", Mount{}, `invalid mount config for type "bind": invalid specification: destination can't be '/'`},
		{"src=v,dst=/v,volume-driver=nfs", Mount{}, "option 'volume-driver' is not in this build"},
		{`"a`, Mount{}, `parse error on line 1, column 3: extraneous or missing " in quoted-field`},
		{"type=tmpfs,dst=/a\ntype=bind", Mount{}, `invalid mount "type=tmpfs,dst=/a?type=bind": more than one line`},
		{"type=bind,src=/x\x00y,dst=/y", Mount{}, `NUL byte in "/x?y/y"`},
	})
}

func TestParseVolume(t *testing.T) {
	parse := func(s string) (Mount, error) { return ParseVolume(s, "/cwd") }
	check(t, parse, []row[Mount]{
		{"/a:/b", Mount{Type: "bind", Source: "/a", Target: "/b", MakeSource: true}, ""},
		{"/a:/b:ro", Mount{Type: "bind", Source: "/a", Target: "/b", MakeSource: true, ReadOnly: true}, ""},
		{"/a:/b:rw,Z,rslave,cached", Mount{Type: "bind", Source: "/a", Target: "/b", MakeSource: true, Relabel: "Z", Propagation: "rslave"}, ""},
		{"./a:/b", Mount{Type: "bind", Source: "/cwd/a", Target: "/b", MakeSource: true}, ""},
		{"..:/b", Mount{Type: "bind", Source: "/", Target: "/b", MakeSource: true}, ""},
		{"data:/b:nocopy", Mount{Type: "volume", Source: "data", Target: "/b", NoCopy: true}, ""},
		{"/b", Mount{Type: "volume", Target: "/b"}, ""},

		{"", Mount{}, "invalid empty volume spec"},
		{":/x", Mount{}, "invalid spec: :/x: empty section between colons"},
		{"/a:", Mount{}, "invalid spec: /a:: empty section between colons"},
		{"a1:b:c:d", Mount{}, "invalid volume specification: 'a1:b:c:d'"},
		{"/a:b", Mount{}, "invalid volume specification: '/a:b': invalid mount path: 'b' mount path must be absolute"},
		{"/a:/b:zz", Mount{}, "invalid mode: zz"},
		{"/a:/b:ro,rw", Mount{}, "invalid mode: ro,rw"},
		{"/a:/b:nocopy", Mount{}, "invalid mode: nocopy"},
		{"data:/b:shared", Mount{}, "invalid mode: shared"},
		{"/x:/", Mount{}, "invalid volume specification: '/x:/': invalid specification: destination can't be '/'"},
		{"rel/x:/y", Mount{}, `"rel/x" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`},
		{"/a\x00:/b", Mount{}, `NUL byte in "/a?:/b"`},
	})
}

func TestParseTmpfs(t *testing.T) {
	check(t, ParseTmpfs, []row[Mount]{
		{"/t", Mount{Type: "tmpfs", Target: "/t"}, ""},
		{"/t:", Mount{Type: "tmpfs", Target: "/t"}, ""},
		{"/t:rw,exec,size=64m,mode=1777,uid=1000", Mount{Type: "tmpfs", Target: "/t", Options: []string{"rw", "exec", "size=64m", "mode=1777", "uid=1000"}}, ""},
		{"/t:size=50%", Mount{Type: "tmpfs", Target: "/t", Options: []string{"size=50%"}}, ""},

		{"", Mount{}, "invalid mount path: '' mount path must be absolute"},
		{"t", Mount{}, "invalid mount path: 't' mount path must be absolute"},
		{"/", Mount{}, "invalid specification: destination can't be '/'"},
		{"/t:foo", Mount{}, `invalid tmpfs option "foo"`},
		{"/t:ro,", Mount{}, `invalid tmpfs option ""`},
		{"/t:size=", Mount{}, `invalid tmpfs option "size="`},
		{"/t:size=1kk", Mount{}, `invalid tmpfs option "size=1kk"`},
		{"/t:size=-1", Mount{}, `invalid tmpfs option "size=-1"`},
		{"/t:bind", Mount{}, `invalid tmpfs option "bind"`},
		{"/t:context=x", Mount{}, `invalid tmpfs option "context=x"`},
	})
}

func TestParseDevice(t *testing.T) {
	check(t, ParseDevice, []row[Device]{
		{"/dev/x", Device{"/dev/x", "/dev/x", "rwm"}, ""},
		{"/dev/x:rw", Device{"/dev/x", "/dev/x", "rw"}, ""},
		{"/dev/x:/dev/y", Device{"/dev/x", "/dev/y", "rwm"}, ""},
		{"/dev/x:/dev/y:m", Device{"/dev/x", "/dev/y", "m"}, ""},
		{"/dev/../dev/x", Device{"/dev/x", "/dev/x", "rwm"}, ""},

		{"", Device{}, "bad format for path: "},
		{"nosuch", Device{}, "nosuch is not an absolute path"},
		{"/dev/x:zz", Device{}, "zz is not an absolute path"},
		{"/dev/x:/dev/y:zz", Device{}, "bad mode specified: zz"},
		{"/dev/x:/dev/y:rr", Device{}, "bad mode specified: rr"},
		{"/dev/x:/dev/y:", Device{}, "bad mode specified: it is empty"},
		{"a:b:c:d", Device{}, "invalid device specification: a:b:c:d"},
		{"vendor.com/gpu=all", Device{}, "device vendor.com/gpu=all: CDI devices are not in this build"},
	})
}

func TestParseDeviceRule(t *testing.T) {
	check(t, ParseDeviceRule, []row[DeviceRule]{
		{"c 1:3 rwm", DeviceRule{"c", 1, 3, "rwm"}, ""},
		{"b *:* m", DeviceRule{"b", -1, -1, "m"}, ""},
		{"a", DeviceRule{"a", -1, -1, "rwm"}, ""},
		{"a *:* rw", DeviceRule{"a", -1, -1, "rw"}, ""},

		{"", DeviceRule{}, "invalid device cgroup format ''"},
		{"zz", DeviceRule{}, "invalid device cgroup format 'zz'"},
		{"c 1:3", DeviceRule{}, "invalid device cgroup format 'c 1:3'"},
		{"c 1 rwm", DeviceRule{}, "invalid device cgroup format 'c 1 rwm'"},
		{"c -1:3 rwm", DeviceRule{}, "invalid device cgroup format 'c -1:3 rwm'"},
		{"c 4096:3 rwm", DeviceRule{}, "invalid device cgroup format 'c 4096:3 rwm'"},
		{"c 1:1048576 rwm", DeviceRule{}, "invalid device cgroup format 'c 1:1048576 rwm'"},
		{"c 1:3 x", DeviceRule{}, "invalid device cgroup format 'c 1:3 x'"},
		{"c 1:3 rwmr", DeviceRule{}, "invalid device cgroup format 'c 1:3 rwmr'"},
		{"c 1:3 rwm\nb *:* rwm", DeviceRule{}, "invalid device cgroup format 'c 1:3 rwm?b *:* rwm'"},
	})
}

func TestParseSize(t *testing.T) {
	check(t, ParseSize, []row[int64]{
		{"0", 0, ""},
		{"512", 512, ""},
		{"512b", 512, ""},
		{"1k", 1 << 10, ""},
		{"64m", 64 << 20, ""},
		{"64M", 64 << 20, ""},
		{"64 MB", 64 << 20, ""},
		{"64MiB", 64 << 20, ""},
		{"1.5g", 3 << 29, ""},
		{".5k", 512, ""},
		{"9007199254740993", 9007199254740993, ""}, // a float64 has no such number
		{"8191p", 8191 << 50, ""},
		{"9223372036854775807", 9223372036854775807, ""},

		{"", 0, "invalid size: ''"},
		{"foo", 0, "invalid size: 'foo'"},
		{"-1", 0, "invalid size: '-1'"},
		{"+1", 0, "invalid size: '+1'"},
		{"1e3", 0, "invalid size: '1e3'"},
		{"1.2.3", 0, "invalid size: '1.2.3'"},
		{".", 0, "invalid size: '.'"},
		{"inf", 0, "invalid size: 'inf'"},
		{"1x", 0, "invalid suffix: 'x'"},
		{"1kk", 0, "invalid suffix: 'kk'"},
		{"1  m", 0, "invalid suffix: ' m'"},
		{"8192p", 0, "invalid size: '8192p': too large"},
		{"9223372036854775808", 0, "invalid size: '9223372036854775808': too large"},
	})
}

func TestParseCPUs(t *testing.T) {
	check(t, ParseCPUs, []row[int64]{
		{"0", 0, ""},
		{"1.5", 1500000000, ""},
		{".5", 500000000, ""},
		{"2.", 2000000000, ""},
		{"0.000000001", 1, ""},
		{"1.50000000000000", 1500000000, ""},
		{"x", 0, "failed to parse x as a rational number"},
		{"", 0, "failed to parse  as a rational number"},
		{".", 0, "failed to parse . as a rational number"},
		{"-1", -1000000000, ""},
		{"-", 0, "failed to parse - as a rational number"},
		{"--1", 0, "failed to parse --1 as a rational number"},
		{"99999999999999999", 0, "failed to parse 99999999999999999 as a rational number"},
		{"0.0000000001", 0, "value is too precise"},
	})
}

func TestParseSwap(t *testing.T) {
	check(t, ParseSwap, []row[int64]{
		{"-1", -1, ""},
		{"1g", 1 << 30, ""},
		{"-2", 0, "invalid size: '-2'"},
	})
}

func TestParseCPUSet(t *testing.T) {
	bad := func(s string) string {
		return `bad list "` + s + `": want numbers and ranges up to 8191, as in 0-3,5`
	}
	check(t, ParseCPUSet, []row[[]int]{
		{"0", []int{0}, ""},
		{"0-3,5", []int{0, 1, 2, 3, 5}, ""},
		{"5,0-1,1", []int{0, 1, 5}, ""},
		{"0-1\n", []int{0, 1}, ""}, // as read from sysfs
		{"", nil, bad("")},
		{"1-x", nil, bad("1-x")},
		{"3-1", nil, bad("3-1")},
		{"1-999999999999", nil, bad("1-999999999999")},
		{"8192", nil, bad("8192")},
		{"0,,1", nil, bad("0,,1")},
		{"-1", nil, bad("-1")},
		{"0:2", nil, bad("0:2")},
	})
	if _, err := ParseCPUSet(strings.Repeat("0-8191,", 100000) + "0"); !errors.Is(err, fault.Invalid) {
		t.Errorf("a long list: %v", err)
	}
}

func TestParseUlimit(t *testing.T) {
	check(t, ParseUlimit, []row[Ulimit]{
		{"nofile=1024", Ulimit{"nofile", 1024, 1024}, ""},
		{"nofile=1024:2048", Ulimit{"nofile", 1024, 2048}, ""},
		{"core=-1", Ulimit{"core", -1, -1}, ""},
		{"core=0:-1", Ulimit{"core", 0, -1}, ""},
		{"foo", Ulimit{}, "invalid ulimit argument: foo"},
		{"zz=3", Ulimit{}, "invalid ulimit type: zz"},
		{"nofile=x", Ulimit{}, `strconv.ParseInt: parsing "x": invalid syntax`},
		{"nofile=5:3", Ulimit{}, "ulimit soft limit must be less than or equal to hard limit: 5 > 3"},
		{"nofile=-1:3", Ulimit{}, "ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: 3"},
		{"nofile=3:4:5", Ulimit{}, "too many limit value arguments - 3:4:5, can only have up to two, `soft[:hard]`"},
		{"nofile=-2", Ulimit{}, "invalid ulimit nofile=-2:-2: use -1 for no limit"},
		{"nofile=1:", Ulimit{}, `strconv.ParseInt: parsing "": invalid syntax`},
	})
}

func TestParseRestart(t *testing.T) {
	check(t, ParseRestart, []row[RestartPolicy]{
		{"", RestartPolicy{}, ""},
		{"no", RestartPolicy{Name: "no"}, ""},
		{"always", RestartPolicy{Name: "always"}, ""},
		{"always:0", RestartPolicy{Name: "always"}, ""},
		{"unless-stopped", RestartPolicy{Name: "unless-stopped"}, ""},
		{"on-failure", RestartPolicy{Name: "on-failure"}, ""},
		{"on-failure:", RestartPolicy{Name: "on-failure"}, ""},
		{"on-failure:5", RestartPolicy{Name: "on-failure", MaxRetries: 5}, ""},
		{"foo", RestartPolicy{}, "invalid restart policy: unknown policy 'foo'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"},
		{":3", RestartPolicy{}, "invalid restart policy format: no policy provided before colon"},
		{"on-failure:x", RestartPolicy{}, "invalid restart policy format: maximum retry count must be an integer"},
		{"a:b:c", RestartPolicy{}, "invalid restart policy format: maximum retry count must be an integer"},
		{"always:3", RestartPolicy{}, "invalid restart policy: maximum retry count can only be used with 'on-failure'"},
		{"on-failure:-1", RestartPolicy{}, "invalid restart policy: maximum retry count cannot be negative"},
	})
}

func TestParseSecurityOpt(t *testing.T) {
	read := func(path string) ([]byte, error) {
		switch path {
		case "p.json":
			return []byte("{ \"defaultAction\" : 1\n}"), nil
		case "bad.json":
			return []byte("{"), nil
		case "list.json":
			return []byte("[]"), nil
		}
		return nil, syscall.ENOENT
	}
	parse := func(s string) (Security, error) {
		var sec Security
		err := ParseSecurityOpt(&sec, s, read)
		return sec, err
	}
	check(t, parse, []row[Security]{
		{"no-new-privileges", Security{NoNewPrivileges: true}, ""},
		{"no-new-privileges=true", Security{NoNewPrivileges: true}, ""},
		{"no-new-privileges:true", Security{NoNewPrivileges: true}, ""},
		{"no-new-privileges:false", Security{}, ""},
		{"seccomp=unconfined", Security{Seccomp: "unconfined"}, ""},
		{"seccomp:unconfined", Security{Seccomp: "unconfined"}, ""},
		{"seccomp=builtin", Security{}, ""},
		{"seccomp=p.json", Security{Seccomp: `{"defaultAction":1}`}, ""},
		{"apparmor=unconfined", Security{AppArmor: "unconfined"}, ""},
		{"label=disable", Security{Label: []string{"disable"}}, ""},
		{"label=type:spc_t", Security{Label: []string{"type:spc_t"}}, ""},
		{"label=level:s0:c1,c2", Security{Label: []string{"level:s0:c1,c2"}}, ""},
		{"label:disable", Security{Label: []string{"disable"}}, ""},
		{"systempaths=unconfined", Security{SystemPathsHidden: new(bool)}, ""},
		{"writable-cgroups=true", Security{WritableCgroups: true}, ""},

		{"", Security{}, `Invalid --security-opt: ""`},
		{"foo", Security{}, `Invalid --security-opt: "foo"`},
		{"foo=bar", Security{}, `Invalid --security-opt: "foo=bar"`},
		{"label", Security{}, `Invalid --security-opt: "label"`},
		{"seccomp=", Security{}, `Invalid --security-opt: "seccomp="`},
		{"apparmor=", Security{}, `Invalid --security-opt: "apparmor="`},
		{"no-new-privileges=", Security{}, `Invalid --security-opt: "no-new-privileges="`},
		{"no-new-privileges=x", Security{}, `Invalid --security-opt: "no-new-privileges=x": want true or false`},
		{"systempaths=foo", Security{}, `Invalid --security-opt: "systempaths=foo"`},
		{"apparmor=a\nb", Security{}, `Invalid --security-opt: "apparmor=a?b"`},
		{"label=disable:x", Security{}, `Invalid --security-opt: "label=disable:x"`},
		{"label=type:", Security{}, `Invalid --security-opt: "label=type:"`},
		{"label=zz", Security{}, `bad label option "zz", valid options 'disable' or 'user, role, level, type' followed by ':' and a value`},
		{"seccomp=/nonexistent", Security{}, "opening seccomp profile (/nonexistent) failed: no such file or directory"},
		{"seccomp=bad.json", Security{}, "compacting json for seccomp profile (bad.json) failed: unexpected end of JSON input"},
		{"seccomp=list.json", Security{}, "seccomp profile (list.json) is not a JSON object"},
	})
}

func TestParseCap(t *testing.T) {
	check(t, ParseCap, []row[string]{
		{"ALL", "ALL", ""},
		{"all", "ALL", ""},
		{"net_admin", "CAP_NET_ADMIN", ""},
		{"CAP_SYS_PTRACE", "CAP_SYS_PTRACE", ""},
		{"ZZ", "", `unknown capability: "ZZ"`},
		{"", "", `unknown capability: ""`},
		{"CAP_ALL", "", `unknown capability: "CAP_ALL"`},
	})
	if n := len(kernel.Capabilities()); n != 41 {
		t.Errorf("%d capabilities, Linux 5.9 and later have 41", n)
	}
}

func TestParseSignal(t *testing.T) {
	check(t, ParseSignal, []row[int]{
		{"TERM", 15, ""},
		{"SIGTERM", 15, ""},
		{"sigterm", 15, ""},
		{"9", 9, ""},
		{"64", 64, ""},
		{"RTMIN", 34, ""},
		{"SIGRTMIN+3", 37, ""},
		{"RTMAX-14", 50, ""},
		{"SIGRTMAX", 64, ""},
		{"ZZ", 0, "invalid signal: ZZ"},
		{"", 0, "invalid signal: "},
		{"SIG", 0, "invalid signal: SIG"},
		{"0", 0, "invalid signal: 0"},
		{"65", 0, "invalid signal: 65"},
		{"-9", 0, "invalid signal: -9"},
		{"RTMIN+99", 0, "invalid signal: RTMIN+99"},
		{"RTMIN-1", 0, "invalid signal: RTMIN-1"},
		{"RTMAX-31", 0, "invalid signal: RTMAX-31"},
		{"RTMIN+", 0, "invalid signal: RTMIN+"},
	})
}

// A table made by others agrees with ours.
func TestParseSignalPeer(t *testing.T) {
	for name, want := range signal.SignalMap {
		if got, err := ParseSignal(name); err != nil || got != int(want) {
			t.Errorf("%s: %d, %v, want %d", name, got, err, want)
		}
	}
	for n := 1; n <= 64; n++ {
		if got, err := ParseSignal(SignalName(n)); err != nil || got != n {
			t.Errorf("SignalName(%d) = %s, which is %d, %v", n, SignalName(n), got, err)
		}
	}
}

// On what both accept, docker's own library agrees.
func TestParseSizePeer(t *testing.T) {
	for _, s := range []string{"1", "1b", "2k", "3kb", "4KiB", "5m", "1.25g", "0.5t", "1 g", "007"} {
		want, err := units.RAMInBytes(s)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseSize(s); err != nil || got != want {
			t.Errorf("%s: %d, %v, want %d", s, got, err, want)
		}
	}
}

func client(key string) (string, bool) {
	if key == "HAVE" {
		return "it", true
	}
	return "", false
}

func TestParseEnv(t *testing.T) {
	check(t, func(s string) (string, error) { return ParseEnv(s, client) }, []row[string]{
		{"A=1", "A=1", ""},
		{"A=", "A=", ""},
		{"A=b=c\nd", "A=b=c\nd", ""},
		{"HAVE", "HAVE=it", ""},
		{"NOT", "NOT", ""},
		{"=x", "", "invalid environment variable: =x"},
		{"", "", "invalid environment variable: "},
		{"A=\x00", "A=\x00", `NUL byte in "A=?"`},
	})
}

func TestParseEnvFile(t *testing.T) {
	parse := func(s string) ([]string, error) { return ParseEnvFile(strings.NewReader(s), client) }
	check(t, parse, []row[[]string]{
		{"", nil, ""},
		{"A=1\n  B=2 \n# no\n\nC='3' # yes\n", []string{"A=1", "B=2 ", "C='3' # yes"}, ""},
		{"\uFEFFA=1\r\nB=2", []string{"A=1", "B=2"}, ""},
		{"HAVE\nNOT\n", []string{"HAVE=it"}, ""},
		{"A=1\nA=2", []string{"A=1", "A=2"}, ""},
		{"a b=1", nil, "variable 'a b' contains whitespaces"},
		{"=x", nil, "no variable name on line '=x'"},
		{"A=1\n\xff=x", nil, "invalid utf8 bytes at line 2: [255 61 120]"},
		{"A=\x00", nil, `NUL byte in "A=?"`},
	})
	for _, s := range []string{"A=" + strings.Repeat("x", maxEnvLine), strings.Repeat("A=1\n", maxEnvFile/4+1)} {
		if _, err := parse(s); !errors.Is(err, fault.TooLarge) {
			t.Errorf("%d bytes: %v, want too large", len(s), err)
		}
	}
}

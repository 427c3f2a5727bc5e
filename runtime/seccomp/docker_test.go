package seccomp

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

var aHost = Host{Arch: "amd64", Caps: []string{"CAP_CHOWN", "CAP_SYS_CHROOT"}, Kernel: [2]int{5, 10}}

func TestFromDockerPicks(t *testing.T) {
	for _, tt := range []struct {
		name, rule string
		want       bool
	}{
		{"plain", `{}`, true},
		{"has the cap", `{"includes":{"caps":["CAP_SYS_CHROOT"]}}`, true},
		{"has not the cap", `{"includes":{"caps":["CAP_SYS_ADMIN"]}}`, false},
		{"needs all caps", `{"includes":{"caps":["CAP_SYS_CHROOT","CAP_SYS_ADMIN"]}}`, false},
		{"excluded by a cap", `{"excludes":{"caps":["CAP_SYS_ADMIN","CAP_CHOWN"]}}`, false},
		{"not excluded", `{"excludes":{"caps":["CAP_SYS_ADMIN"]}}`, true},
		{"one of the machines", `{"includes":{"arches":["s390x","amd64"]}}`, true},
		{"other machines", `{"includes":{"arches":["arm64"]}}`, false},
		{"excluded machine", `{"excludes":{"arches":["amd64"]}}`, false},
		{"old enough", `{"includes":{"minKernel":"4.8"}}`, true},
		{"this kernel", `{"includes":{"minKernel":"5.10"}}`, true},
		{"too old", `{"includes":{"minKernel":"5.11"}}`, false},
		{"too new", `{"excludes":{"minKernel":"5.9"}}`, false},
		{"not too new", `{"excludes":{"minKernel":"6.0"}}`, true},
		{"included and excluded", `{"includes":{"arches":["amd64"]},"excludes":{"caps":["CAP_CHOWN"]}}`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := `{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW",` +
				strings.TrimPrefix(tt.rule, "{") + `]}`
			text = strings.Replace(text, ",}", "}", 1)
			p, err := FromDocker([]byte(text), aHost)
			if err != nil {
				t.Fatal(err)
			}
			if got := len(p.Syscalls) == 1; got != tt.want {
				t.Errorf("applies: %v, want %v", got, tt.want)
			}
		})
	}
}

func TestFromDockerForms(t *testing.T) {
	two, nosys := uint(2), uint(38)
	for _, tt := range []struct {
		name, text string
		want       *specs.LinuxSeccomp
	}{
		{
			"OCI",
			`{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":2,"architectures":["SCMP_ARCH_X86_64"],"flags":[],
			  "listenerPath":"/l","listenerMetadata":"m","syscalls":[{"names":["a","b"],"action":"SCMP_ACT_ALLOW",
			  "args":[{"index":1,"value":18446744073709551615,"valueTwo":3,"op":"SCMP_CMP_MASKED_EQ"}]}]}`,
			&specs.LinuxSeccomp{
				DefaultAction: specs.ActErrno, DefaultErrnoRet: &two, Architectures: []specs.Arch{specs.ArchX86_64},
				Flags: []specs.LinuxSeccompFlag{}, ListenerPath: "/l", ListenerMetadata: "m",
				Syscalls: []specs.LinuxSyscall{{
					Names: []string{"a", "b"}, Action: specs.ActAllow,
					Args: []specs.LinuxSeccompArg{{Index: 1, Value: 1<<64 - 1, ValueTwo: 3, Op: specs.OpMaskedEqual}},
				}},
			},
		},
		{
			"archMap",
			`{"defaultAction":"SCMP_ACT_ALLOW","archMap":[{"architecture":"SCMP_ARCH_AARCH64","subArchitectures":["SCMP_ARCH_ARM"]},
			  {"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86","SCMP_ARCH_X32"]}]}`,
			&specs.LinuxSeccomp{
				DefaultAction: specs.ActAllow,
				Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32},
			},
		},
		{
			"one name",
			`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"x","action":"SCMP_ACT_KILL","args":null,"comment":"c"}]}`,
			&specs.LinuxSeccomp{
				DefaultAction: specs.ActAllow,
				Syscalls:      []specs.LinuxSyscall{{Names: []string{"x"}, Action: specs.ActKill}},
			},
		},
		{
			"Podman",
			`{"defaultAction":"SCMP_ACT_ERRNO","defaultErrno":"ENOSYS","syscalls":[
			  {"names":["x"],"action":"SCMP_ACT_ERRNO","errnoRet":2,"errno":"ENOENT","args":[],"includes":{},"excludes":{}}]}`,
			&specs.LinuxSeccomp{
				DefaultAction: specs.ActErrno, DefaultErrnoRet: &nosys,
				Syscalls: []specs.LinuxSyscall{{
					Names: []string{"x"}, Action: specs.ActErrno, ErrnoRet: &two, Args: []specs.LinuxSeccompArg{},
				}},
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := FromDocker([]byte(tt.text), aHost)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestFromDockerRefuses(t *testing.T) {
	rule := func(s string) string {
		return `{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["a"],"action":"SCMP_ACT_ALLOW"},` + s + `]}`
	}
	for _, tt := range []struct {
		name, text string
		kind       fault.Kind
		want       string
	}{
		{"nothing", ``, fault.Invalid, "EOF"},
		{"empty object", `{}`, fault.Invalid, "defaultAction"},
		{"no object", `[]`, fault.Invalid, "array"},
		{"torn", `{"defaultAction":"SCMP`, fault.Invalid, "EOF"},
		{"two", `{"defaultAction":"SCMP_ACT_ALLOW"}{}`, fault.Invalid, "more after"},
		{"misspelt", rule(`{"names":["b"],"action":"SCMP_ACT_ALLOW","arg":[]}`), fault.Invalid, `"arg"`},
		{"action", rule(`{"names":["b"],"action":"allow"}`), fault.Invalid, `syscalls[1].action: unknown action "allow"`},
		{
			"bad though not for this host", rule(`{"names":["b"],"action":"allow","includes":{"arches":["arm"]}}`),
			fault.Invalid, `syscalls[1].action`,
		},
		{"name and names", rule(`{"name":"x","names":["b"],"action":"SCMP_ACT_ALLOW"}`), fault.Invalid, "syscalls[1]: name and names"},
		{"neither", rule(`{"action":"SCMP_ACT_ALLOW"}`), fault.Invalid, "syscalls[1].names"},
		{"kernel", rule(`{"names":["b"],"action":"SCMP_ACT_ALLOW","includes":{"minKernel":"4"}}`), fault.Invalid, `syscalls[1]: minKernel "4"`},
		{"kernel text", rule(`{"names":["b"],"action":"SCMP_ACT_ALLOW","excludes":{"minKernel":"4.x"}}`), fault.Invalid, "minKernel"},
		{"errno", rule(`{"names":["b"],"action":"SCMP_ACT_ERRNO","errno":"EWHAT"}`), fault.Invalid, `unknown errno "EWHAT"`},
		{"negative index", rule(`{"names":["b"],"action":"SCMP_ACT_ALLOW","args":[{"index":-1,"op":"SCMP_CMP_EQ"}]}`), fault.Invalid, "index"},
		{
			"both kinds of machines", `{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],"archMap":[{"architecture":"SCMP_ARCH_X86"}]}`,
			fault.Invalid, "archMap",
		},
		{"archMap", `{"defaultAction":"SCMP_ACT_ALLOW","archMap":[{"architecture":"x86"}]}`, fault.Invalid, "archMap[0]"},
		{"large", strings.Repeat(" ", maxProfile) + "{}", fault.TooLarge, "bytes"},
		{"deep", strings.Repeat("[", 1000), fault.TooLarge, "nested"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := FromDocker([]byte(tt.text), aHost)
			if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v (%v), want %q (%v)", err, fault.KindOf(err), tt.want, tt.kind)
			}
		})
	}
	if _, err := FromDocker([]byte(`{"defaultAction":"SCMP_ACT_ALLOW"}`), Host{Arch: "vax"}); !errors.Is(err, fault.Unsupported) {
		t.Errorf("vax: %v, want Unsupported", err)
	}
}

// TestFromDockerReadsDefault writes our profile and reads it back.
func TestFromDockerReadsDefault(t *testing.T) {
	for _, goarch := range []string{"amd64", "arm64"} {
		h := Host{Arch: goarch, Kernel: [2]int{6, 18}}
		want := Default(h)
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := FromDocker(text, h)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
}

func FuzzFromDocker(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.json"))
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := FromDocker(text, aHost)
		if err != nil {
			if k := fault.KindOf(err); k != fault.Invalid && k != fault.TooLarge {
				t.Fatalf("%v is of class %v", err, k)
			}
			return
		}
		prog, err := Compile(p, aHost.Arch)
		if err != nil {
			t.Fatalf("read but not compiled: %v", err)
		}
		for _, d := range []Data{
			{Nr: 0, Arch: auditArch[amd64]},
			{Nr: 41, Arch: auditArch[amd64], Args: [6]uint64{38}},
			{Nr: 102, Arch: auditArch[i386], Args: [6]uint64{1}},
			{Nr: x32Bit, Arch: auditArch[amd64]},
			{Nr: -1, Arch: auditArch[amd64]},
		} {
			got, err := Simulate(prog.Prog, d)
			if err != nil {
				t.Fatal(err)
			}
			if want := reference(p, aHost.Arch, d); got != want {
				t.Fatalf("%+v is %s, want %s", d, Verdict(got), Verdict(want))
			}
		}
	})
}

package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/sys/user"

	"github.com/berth-engine/berth/internal/fault"
)

const testPasswd = `# comment
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1::/usr/sbin:/sbin/nologin

web:x:1000:100:Web,,,:/home/web:/bin/sh
nohome:x:1001:1001
rel:x:1002:1002::rel/home:
1234:x:4321:4321:a name of digits:/num:
bad:x:-1:0:::
bad2:x:99999999999:0:::
bad3:x::0:::
web:x:2000:2000:twice:/other:
twin:x:1000:7::/twin:
`

const testGroup = `root:x:0:root
wheel:x:10:root,web
users:x:100:
disk:x:6:web
dup:x:6:web
1234:x:77:
broken:x:abc:web
short:x
`

func TestLookupUser(t *testing.T) {
	for _, tt := range []struct {
		spec string
		add  []string
		want User
		err  string
	}{
		{"", nil, User{0, 0, []uint32{10}, "/root", "root"}, ""},
		{"root", nil, User{0, 0, []uint32{10}, "/root", "root"}, ""},
		{"0", nil, User{0, 0, []uint32{10}, "/root", "root"}, ""},
		{"web", nil, User{1000, 100, []uint32{10, 6}, "/home/web", "web"}, ""},
		{"1000", nil, User{1000, 100, []uint32{10, 6}, "/home/web", "web"}, ""},
		{"web:wheel", nil, User{1000, 10, nil, "/home/web", "web"}, ""},
		{"web:55", nil, User{1000, 55, nil, "/home/web", "web"}, ""},
		{"web:", nil, User{1000, 100, []uint32{10, 6}, "/home/web", "web"}, ""},
		{":wheel", nil, User{0, 10, nil, "/root", "root"}, ""},
		{"5000", nil, User{5000, 0, nil, "", ""}, ""},
		{"5000:6000", nil, User{5000, 6000, nil, "", ""}, ""},
		{"2147483647", nil, User{2147483647, 0, nil, "", ""}, ""},
		{"nohome", nil, User{1001, 1001, nil, "", "nohome"}, ""},
		{"rel", nil, User{1002, 1002, nil, "", "rel"}, ""},
		{"1234", nil, User{1234, 0, nil, "", ""}, ""}, // a number, whatever passwd says
		{"0:1234", nil, User{0, 1234, nil, "/root", "root"}, ""},
		{"web", []string{"users", "55", "wheel", "55"}, User{1000, 100, []uint32{10, 6, 55}, "/home/web", "web"}, ""},
		{"web:wheel", []string{"disk"}, User{1000, 10, []uint32{6}, "/home/web", "web"}, ""},

		{"nobody", nil, User{}, "unable to find user nobody: no matching entries in passwd file"},
		{"bad", nil, User{}, "unable to find user bad: no matching entries in passwd file"},
		{"bad2", nil, User{}, "unable to find user bad2: no matching entries in passwd file"},
		{"bad3", nil, User{}, "unable to find user bad3: no matching entries in passwd file"},
		{"# comment", nil, User{}, "unable to find user # comment: no matching entries in passwd file"},
		{"web:nogroup", nil, User{}, "unable to find group nogroup: no matching entries in group file"},
		{"web:broken", nil, User{}, "unable to find group broken: no matching entries in group file"},
		{"web", []string{"nogroup"}, User{}, "unable to find group nogroup: no matching entries in group file"},
		{"2147483648", nil, User{}, `uids and gids must be in range 0-2147483647: "2147483648"`},
		{"4294967295", nil, User{}, `uids and gids must be in range 0-2147483647: "4294967295"`},
		{"4294967296", nil, User{}, `uids and gids must be in range 0-2147483647: "4294967296"`},
		{"-1", nil, User{}, `uids and gids must be in range 0-2147483647: "-1"`},
		{"+1000", nil, User{}, `uids and gids must be in range 0-2147483647: "+1000"`},
		{"0:-1", nil, User{}, `uids and gids must be in range 0-2147483647: "-1"`},
		{"a:b:c", nil, User{}, `invalid user "a:b:c": want name|uid[:group|gid]`},
		{":", nil, User{}, `invalid user ":": want name|uid[:group|gid]`},
		{"web\n", nil, User{}, `invalid user "web\n": want name|uid[:group|gid]`},
	} {
		t.Run(tt.spec+fmt.Sprint(tt.add), func(t *testing.T) {
			got, err := LookupUser(strings.NewReader(testPasswd), strings.NewReader(testGroup), tt.spec, tt.add)
			text := ""
			if err != nil {
				text = err.Error()
				if !errors.Is(err, fault.Invalid) {
					t.Errorf("class of %v", err)
				}
			}
			if text != tt.err {
				t.Fatalf("got %q, want %q", text, tt.err)
			}
			if err == nil && len(got.Groups) == 0 {
				got.Groups = nil
			}
			if d := cmp.Diff(tt.want, got); err == nil && d != "" {
				t.Error(d)
			}
		})
	}
}

func TestLookupUserNoFiles(t *testing.T) {
	if got, err := LookupUser(nil, nil, "7:8", []string{"9"}); err != nil || got.UID != 7 || got.GID != 8 || len(got.Groups) != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := LookupUser(nil, nil, "", nil); err != nil || got.UID != 0 || got.Home != "" {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := LookupUser(nil, nil, "web", nil); !errors.Is(err, fault.Invalid) {
		t.Errorf("got %v", err)
	}
}

func TestLookupUserBounds(t *testing.T) {
	long := strings.Repeat("x", maxUserLine+1)
	many := strings.Repeat("g:x:1:\n", maxUserFile/7+1)
	var groups strings.Builder
	for i := range maxGroups + 2 {
		fmt.Fprintf(&groups, "g:x:%d:u\n", i+1)
	}
	broken := io.MultiReader(strings.NewReader("a"), iotestErr{})
	for _, tt := range []struct {
		name          string
		passwd, group io.Reader
		class         fault.Kind
	}{
		{"long line in passwd", strings.NewReader(long), nil, fault.TooLarge},
		{"long line in group", nil, strings.NewReader(long), fault.TooLarge},
		{"large group file", nil, strings.NewReader(many), fault.TooLarge},
		{"many groups", strings.NewReader("u:x:1:0::/:"), strings.NewReader(groups.String()), fault.TooLarge},
		{"read error", broken, nil, fault.Internal},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := LookupUser(tt.passwd, tt.group, "1", nil); err == nil || fault.KindOf(err) != tt.class {
				t.Errorf("got %v (%v), want %v", err, fault.KindOf(err), tt.class)
			}
		})
	}
}

type iotestErr struct{}

func (iotestErr) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// On files without malformed lines docker's own library finds the same user.
func FuzzLookupUser(f *testing.F) {
	for _, spec := range []string{"", "root", "web", "web:wheel", "1000:55", "5000", "nobody", "-1", "1234:x:y"} {
		f.Add([]byte(testPasswd), []byte(testGroup), spec)
	}
	f.Add([]byte("a:b"), []byte(":::"), "a")
	f.Fuzz(func(t *testing.T, passwd, group []byte, spec string) {
		got, err := LookupUser(bytes.NewReader(passwd), bytes.NewReader(group), spec, nil)
		if err != nil {
			return
		}
		if got.UID > 1<<31-1 || got.GID > 1<<31-1 || len(got.Groups) > maxGroups || (got.Home != "" && got.Home[0] != '/') {
			t.Errorf("got %+v", got)
		}
		if !regular(passwd, 7, 2, 3) || !regular(group, 4, 2) {
			return
		}
		want, err := user.GetExecUser(spec, nil, bytes.NewReader(passwd), bytes.NewReader(group))
		if err != nil {
			return // we accept a few words more, e.g. digits beyond int's spelling
		}
		if int(got.UID) != want.Uid || int(got.GID) != want.Gid {
			t.Errorf("%q: got %+v, want %+v", spec, got, want)
		}
	})
}

// regular says that every line has so many fields, plain, and ids where they
// belong.
func regular(data []byte, fields int, ids ...int) bool {
	if bytes.ContainsAny(data, "\r\x00 \t#\v\f\u0085\u00a0") {
		return false
	}
	for _, line := range strings.Split(strings.TrimSuffix(string(data), "\n"), "\n") {
		f := strings.Split(line, ":")
		if len(f) != fields || f[0] == "" {
			return false
		}
		for _, i := range ids {
			if _, ok := id(f[i]); !ok {
				return false
			}
		}
	}
	return true
}

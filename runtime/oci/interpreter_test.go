package oci

import (
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestInterpreter(t *testing.T) {
	for _, tt := range []struct {
		name, head  string
		want, where string
	}{
		{"plain", "#!/bin/sh\necho", "/bin/sh", "first line"},
		{"spaces and an argument", "#! \t/usr/bin/env perl\n", "/usr/bin/env", "first line"},
		{"carriage return", "#!/bin/sh\r\necho\r\n", "/bin/sh\r", "first line"},
		{"no line end", "#!/bin/sh", "/bin/sh", "first line"},
		{"longer than the kernel reads", "#!/" + strings.Repeat("x", 1000), "/" + strings.Repeat("x", 253), "first line"},
		{"nothing named", "#!\n", "", "first line"},
		{"64 bit", elfHead(elf.ELFCLASS64, "/lib64/ld.so"), "/lib64/ld.so", "ELF header"},
		{"32 bit", elfHead(elf.ELFCLASS32, "/lib/ld.so"), "/lib/ld.so", "ELF header"},
		{"cut", elfHead(elf.ELFCLASS64, "/lib64/ld.so")[:100], "", "ELF header"},
		{"text", "echo", "", "ELF header"},
		{"empty", "", "", "ELF header"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, where := interpreter([]byte(tt.head))
			if got != tt.want || where != tt.where {
				t.Errorf("got %q in the %s, want %q in the %s", got, where, tt.want, tt.where)
			}
		})
	}
}

// elfHead is the beginning of a little-endian program with two segments, of
// which the second names an interpreter.
func elfHead(class elf.Class, interpreter string) string {
	b := []byte("\x7fELF" + string([]byte{byte(class), 1, 1}))
	b = append(b, make([]byte, 300)...)
	e := binary.LittleEndian
	const table, text = 64, 200
	entry := b[table+56:]
	if class == elf.ELFCLASS64 {
		e.PutUint64(b[32:], table)
		e.PutUint16(b[54:], 56)
		e.PutUint16(b[56:], 2)
		e.PutUint64(entry[8:], text)
		e.PutUint64(entry[32:], uint64(len(interpreter)+1))
	} else {
		entry = b[table+32:]
		e.PutUint32(b[28:], table)
		e.PutUint16(b[42:], 32)
		e.PutUint16(b[44:], 2)
		e.PutUint32(entry[4:], text)
		e.PutUint32(entry[16:], uint32(len(interpreter)+1))
	}
	e.PutUint32(b[table:], uint32(elf.PT_LOAD))
	e.PutUint32(entry, uint32(elf.PT_INTERP))
	copy(b[text:], interpreter)
	return string(b)
}

// TestWhy follows the chain of interpreters to the one that is missing.
func TestWhy(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"crlf":      "#!/bin/sh\r\n",
		"lost":      "#!/no/interpreter\n",
		"chain":     "#!/lost\n",
		"bin/tool":  elfHead(elf.ELFCLASS64, "/lib/ld-musl-x86_64.so.1"),
		"bin/close": "#!sh\n",
		"fine":      "#!/static\n",
		"static":    elfHead(elf.ELFCLASS64, ""),
		"mounted":   "#!/opt/tool\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/lost", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	at := site{dir: root, over: []specs.Mount{{Destination: "/proc"}, {Destination: "/opt/"}}}
	for _, tt := range []struct{ program, want string }{
		{"/crlf", "carriage return"},
		{"/lost", "/no/interpreter, which the first line of /lost names as its interpreter, is not in the container"},
		{"/chain", "/no/interpreter, which the first line of /lost names"},
		{"/link", "/no/interpreter"},
		{"tool", "/lib/ld-musl-x86_64.so.1, which the ELF header of /bin/tool names"},
		{"./close", "/bin/sh, which"},
		{"/fine", ""},
		{"/mounted", ""},
		{"/nowhere", ""},
	} {
		p := &specs.Process{Args: []string{tt.program}, Cwd: "/bin", Env: []string{"PATH=/usr/bin:/bin"}}
		if got := at.why(p); !strings.Contains(got, tt.want) || got != "" && tt.want == "" {
			t.Errorf("%s: got %q, want %q", tt.program, got, tt.want)
		}
	}
}

func FuzzInterpreter(f *testing.F) {
	f.Add([]byte("#!/bin/sh -e\n"))
	f.Add([]byte(elfHead(elf.ELFCLASS64, "/lib64/ld.so")))
	f.Add([]byte(elfHead(elf.ELFCLASS32, "/lib/ld.so")))
	f.Fuzz(func(t *testing.T, head []byte) {
		if name, _ := interpreter(head); len(name) > len(head) {
			t.Errorf("%q is longer than the file", name)
		}
	})
}

package wire

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-engine/berth/internal/fault"
)

func TestReadFrames(t *testing.T) {
	head := func(t byte, n int) []byte {
		h := make([]byte, HeaderSize)
		PutHeader(h, Type(t), n)
		return h
	}
	for _, tt := range []struct {
		name string
		in   []byte
		kind Type
		want string
		err  error
	}{
		{"data", append(head(1, 5), "hello"...), Stdout, "hello", nil},
		{"end of input", head(0, 0), Stdin, "", nil},
		{"nothing", nil, 0, "", io.EOF},
		{"half a header", head(1, 5)[:3], 0, "", io.ErrUnexpectedEOF},
		{"header only", head(1, 5), 0, "", io.ErrUnexpectedEOF},
		{"half the data", append(head(1, 5), "he"...), 0, "", io.ErrUnexpectedEOF},
		{"largest data", append(head(2, MaxData), make([]byte, MaxData)...), Stderr, string(make([]byte, MaxData)), nil},
		{"too much data", head(2, MaxData+1), 0, "", fault.TooLarge},
		{"too much control", head(3, MaxControl+1), 0, "", fault.TooLarge},
		{"four gigabytes", []byte{3, 0, 0, 0, 255, 255, 255, 255}, 0, "", fault.TooLarge},
		{"unknown type", head(4, 0), 0, "", fault.Damaged},
		{"not zero", []byte{1, 0, 1, 0, 0, 0, 0, 0}, 0, "", fault.Damaged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			kind, data, err := Read(bytes.NewReader(tt.in))
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if err == nil && (kind != tt.kind || string(data) != tt.want) {
				t.Errorf("type %d, %d bytes", kind, len(data))
			}
		})
	}
}

func TestErrorSurvives(t *testing.T) {
	far := NewError(fault.Op("start", "c1", fault.As(fault.NotFound, &os.PathError{Op: "exec", Path: "/x", Err: syscall.ENOENT})))
	frame, err := Pack(&Message{Op: Failed, Seq: 7, Err: far})
	if err != nil {
		t.Fatal(err)
	}
	_, data, err := Read(bytes.NewReader(frame))
	if err != nil {
		t.Fatal(err)
	}
	m, err := Unpack(data)
	if err != nil {
		t.Fatal(err)
	}
	if !errors.Is(m.Err, fault.NotFound) || !errors.Is(m.Err, syscall.ENOENT) || !errors.Is(m.Err, os.ErrNotExist) ||
		errors.Is(m.Err, fault.Conflict) || !strings.Contains(m.Err.Error(), "start c1: exec /x") {
		t.Errorf("got %#v", m.Err)
	}
	if NewError(nil) != nil {
		t.Error("no error became one")
	}
}

func TestUnpackIgnoresWhatIsNew(t *testing.T) {
	m, err := Unpack([]byte(`{"Op":"wait","Seq":3,"Future":{"x":1},"Reap":true}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&Message{Op: Wait, Seq: 3, Reap: true}, m); diff != "" {
		t.Error(diff)
	}
	if _, err := Unpack([]byte("nonsense")); !errors.Is(err, fault.Damaged) {
		t.Errorf("error %v", err)
	}
}

func pair(t *testing.T) (a, b *Link) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	links := [2]*Link{}
	for i, fd := range fds {
		l, err := NewLink(fd)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.DropFiles(); l.Close() })
		links[i] = l
	}
	return links[0], links[1]
}

func TestLinkCarriesDescriptors(t *testing.T) {
	a, b := pair(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	frame, err := Pack(&Message{Op: Exec})
	if err != nil {
		t.Fatal(err)
	}
	plain, err := Pack(&Message{Op: Wait})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []struct {
		frame []byte
		fds   []int
	}{{plain, nil}, {frame, []int{int(w.Fd()), int(w.Fd())}}, {plain, nil}} {
		if err := a.Send(f.frame, time.Second, f.fds...); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	for i, want := range []int{0, 2, 0} {
		if _, _, err := Read(b); err != nil {
			t.Fatal(err)
		}
		fds := b.Files()
		if len(fds) != want {
			t.Errorf("frame %d brought %d descriptors, want %d", i, len(fds), want)
		}
		for _, fd := range fds {
			syscall.Close(fd)
		}
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("a copy of the descriptor is still open: %d, %v", n, err)
	}
}

func TestLinkRefusesManyDescriptors(t *testing.T) {
	a, b := pair(t)
	frame, err := Pack(&Message{Op: Exec})
	if err != nil {
		t.Fatal(err)
	}
	before := openFiles(t)
	if err := a.Send(frame, time.Second, 0, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Read(b); !errors.Is(err, fault.TooLarge) {
		t.Errorf("error %v", err)
	}
	if now := openFiles(t); now != before {
		t.Errorf("%d descriptors open, were %d", now, before)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

func TestSendGivesUp(t *testing.T) {
	a, _ := pair(t)
	big := make([]byte, 8<<20)
	if n, err := a.TrySend(big); err != nil || n == 0 || n == len(big) {
		t.Errorf("try: %d, %v", n, err)
	}
	if err := a.Send(big, 20*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("send: %v", err)
	}
}

func TestAddressOfLongPaths(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 100))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, do := range []func(int, syscall.Sockaddr) error{
		func(fd int, a syscall.Sockaddr) error { return errors.Join(syscall.Bind(fd, a), syscall.Listen(fd, 1)) },
		func(fd int, a syscall.Sockaddr) error { return syscall.Connect(fd, a) },
	} {
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Close(fd)
		if err := Address(dir, func(a *syscall.SockaddrUnix) error { return do(fd, a) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := Address(filepath.Join(dir, "none"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing directory: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 2, 'h', 'i'})
	f.Add([]byte("\x03\x00\x00\x00\x00\x00\x00\x0d{\"Op\":\"wait\"}\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		for used := 0; ; {
			kind, data, err := Read(r)
			if err != nil {
				return
			}
			if kind > Control || kind != Control && len(data) > MaxData {
				t.Fatalf("type %d with %d bytes", kind, len(data))
			}
			again := make([]byte, HeaderSize, HeaderSize+len(data))
			PutHeader(again, kind, len(data))
			again = append(again, data...)
			if !bytes.Equal(again, in[used:used+len(again)]) {
				t.Fatal("a frame does not encode to what it was")
			}
			used += len(again)
			if kind == Control {
				if m, err := Unpack(data); err == nil {
					_, _ = Pack(m)
				}
			}
		}
	})
}

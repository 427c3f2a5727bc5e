package courier

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-engine/berth/image"
	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/internal/fault"
)

var (
	sumA   = digest.FromString("a")
	result = image.PullResult{Image: image.Image{ID: sumA}, Ref: "docker.io/library/a:1", Digest: digest.FromString("b"), UpToDate: true}
)

// program is a shell script in the place of berth-registry.
func program(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "berth-registry")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func sendTo(ctx context.Context, exe string, tell func(image.Event)) (*done, error) {
	return send(ctx, exec.CommandContext(ctx, exe), tell)
}

// answered is what Answer says of a pull.
func answered(t *testing.T, events []image.Event, res image.PullResult, err error) string {
	t.Helper()
	var b bytes.Buffer
	got := Answer(&b, false, func(tell func(image.Event)) (image.PullResult, error) {
		for _, e := range events {
			tell(e)
		}
		return res, err
	})
	if !errors.Is(got, err) {
		t.Errorf("Answer returns %v, want %v", got, err)
	}
	return b.String()
}

func TestWhatIsAnsweredArrives(t *testing.T) {
	events := []image.Event{{Layer: "1", Text: "Pulling from a"}, {Layer: "abc", Text: "Downloading", Current: 5, Total: 10}, {Text: "Digest: <\x1b[31mö"}}
	file := filepath.Join(t.TempDir(), "lines")
	if err := os.WriteFile(file, []byte(answered(t, events, result, nil)), 0o600); err != nil {
		t.Fatal(err)
	}
	var got []image.Event
	d, err := sendTo(t.Context(), program(t, "cat "+file), func(e image.Event) { got = append(got, e) })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(events, got); diff != "" {
		t.Error(diff)
	}
	want := &done{ID: sumA, Ref: result.Ref, Digest: result.Digest, UpToDate: true}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Error(diff)
	}
}

func TestErrorsKeepTextAndClass(t *testing.T) {
	for _, want := range []error{
		fault.New(fault.NotFound, "manifest for a:1 not found: manifest unknown"),
		fault.Op("image", "a", fault.New(fault.Damaged, "wrong digest")),
		fault.Op("image", "a", &os.PathError{Op: "write", Path: "/x", Err: os.ErrPermission}),
		fault.New(fault.TooLarge, "%s", strings.Repeat("<", 100_000)),
	} {
		_, err := listen(strings.NewReader(answered(t, nil, image.PullResult{}, want)), nil)
		if err == nil || fault.KindOf(err) != fault.KindOf(want) || err.Error() != clip(want.Error(), maxText) {
			t.Errorf("sent %v (%s), got %v (%s)", want, fault.KindOf(want), err, fault.KindOf(err))
		}
	}
}

func TestQuietAnswer(t *testing.T) {
	var b bytes.Buffer
	err := Answer(&b, true, func(tell func(image.Event)) (image.PullResult, error) {
		if tell != nil {
			t.Error("somebody wants to be told")
		}
		return result, nil
	})
	if err != nil || strings.Count(b.String(), "\n") != 1 {
		t.Errorf("%v, %q", err, b.String())
	}
}

func TestArgs(t *testing.T) {
	tell := func(image.Event) {}
	for _, tt := range []struct {
		o    image.PullOptions
		want []string
	}{
		{image.PullOptions{Progress: tell}, []string{"--root", "/r", "pull", "--", "-a"}},
		{image.PullOptions{Platform: "linux/arm64"}, []string{"--root", "/r", "pull", "--platform", "linux/arm64", "--quiet", "--", "-a"}},
	} {
		if got := args("/r", "-a", tt.o); !slices.Equal(got, tt.want) {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// TestBadPrograms: whatever the program says or does, there is an error that
// tells it, and the program is gone.
func TestBadPrograms(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		kind         fault.Kind
		says         string
	}{
		{"silence", "exit 3", fault.Unavailable, "ended without saying how the pull went: exit status 3"},
		{"silence that ends well", "exit 0", fault.Unavailable, "exit status 0"},
		{"killed", "kill -9 $$", fault.Unavailable, "signal: killed"},
		{"cut off", `printf '{"done":{"id":"'`, fault.Unavailable, "ended without saying"},
		{"no JSON", "echo panic", fault.Invalid, `"panic`},
		{"unknown field", `echo '{"event":{},"exec":1}'`, fault.Invalid, "no news"},
		{"two things", `echo '{"event":{},"error":{"kind":"denied","text":"x"}}'`, fault.Invalid, "not one of"},
		{"nothing", "echo '{}'", fault.Invalid, "not one of"},
		{"more behind it", `echo '{"event":{}} {}'`, fault.Invalid, "no news"},
		{"negative", `echo '{"event":{"total":-1}}'`, fault.Invalid, "negative"},
		{"done without an image", `echo '{"done":{"id":"sha256:zz","ref":"a","digest":"x"}}'`, fault.Invalid, "without naming"},
		{"unknown class", `echo '{"error":{"kind":"odd","text":"x"}}'`, fault.Internal, "x"},
		{"error without text", `echo '{"error":{"kind":"denied","text":""}}'`, fault.Invalid, "without a text"},
		{"endless line", "while printf 0123456789; do :; done", fault.TooLarge, "longer than"},
		{"endless talk", `echo '{"error":{"kind":"denied","text":"no"}}'; while echo more; do :; done`, fault.Denied, "no"},
		{"does not end by itself", `echo '{"error":{"kind":"denied","text":"no"}}'; cat`, fault.Denied, "no"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := sendTo(t.Context(), program(t, tt.script), nil)
			if err == nil || fault.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v (%s), want %s with %q", err, fault.KindOf(err), tt.kind, tt.says)
			}
			if strings.Contains(fmt.Sprint(err), "\n") {
				t.Errorf("more than a line: %q", err)
			}
		})
	}
}

func TestCancelTellsTheProgramAndWaits(t *testing.T) {
	cleaned := filepath.Join(t.TempDir(), "cleaned")
	exe := program(t, `trap 'sleep 0.1; touch '"'`+cleaned+`'"'; exit 1' TERM
echo '{"event":{"text":"up"}}'
while :; do sleep 0.01; done`)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := sendTo(ctx, exe, func(image.Event) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
	if _, err := os.Stat(cleaned); err != nil {
		t.Errorf("the program was not waited for: %v", err)
	}
}

func TestCannotStart(t *testing.T) {
	exe := filepath.Join(t.TempDir(), "berth-registry")
	if err := os.WriteFile(exe, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := sendTo(t.Context(), exe, nil)
	if want := "cannot start " + exe + ": permission denied"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// FuzzLine: what is accepted says one thing, and means the same when it is
// said again.
func FuzzLine(f *testing.F) {
	for _, s := range []string{
		`{"event":{"layer":"a","text":"b","current":1,"total":2}}`,
		`{"done":{"id":"` + string(sumA) + `","ref":"a","digest":"` + string(sumA) + `"}}`,
		`{"error":{"kind":"denied","text":"x"}}`, `{"Error":null,"event":{}}`, `[]`, `{"event":{"current":1e999}}`, "{}\x00",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := parse(text)
		if err != nil {
			if len(err.Error()) > 1000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		again, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		l2, err := parse(again)
		if diff := cmp.Diff(l, l2); err != nil || diff != "" {
			t.Errorf("%q: %v %s", text, err, diff)
		}
		if l.Error != nil && l.Error.err().Error() != l.Error.Text {
			t.Errorf("%q became %q", l.Error.Text, l.Error.err())
		}
	})
}

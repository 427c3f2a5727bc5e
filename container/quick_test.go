package container

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-engine/berth/internal/jsontext"
)

// everyday are records as most containers have them.
func everyday() (Container, Status) {
	at := time.Date(2026, 8, 1, 12, 0, 0, 123456789, time.UTC)
	rec := Container{
		ID: "ab", Name: "web", Created: at, Image: "sha256:1", ImageRef: "alpine", Snapshot: "ab", Path: "sh", Args: []string{"-c", `echo "a" && b > c; é`},
		Request: Request{
			Image: "alpine", Args: []string{"sh"}, Env: []string{"A=1"}, User: "1:2", Hostname: "h", TTY: true, Remove: true,
			Network: "none", Labels: map[string]string{"a": "b", "c": ""}, Restart: RestartPolicy{Name: "always"}, Pull: "missing",
		},
	}
	return rec, Status{
		State: Exited, Pid: 7, StartTicks: 99, BootID: "x-y", MonitorPid: 8, MonitorTicks: 100,
		Exit: &ExitStatus{Code: 137, Signal: 9}, Error: "no", StartedAt: at, FinishedAt: at.Add(time.Second),
	}
}

func TestQuickReadsOurOwn(t *testing.T) {
	rec, status := everyday()
	for _, c := range []Container{rec, {}, {Request: Request{Entrypoint: []string{}}}} {
		whole(t, c, quickContainer)
	}
	for _, s := range []Status{status, {State: Running, Pid: 1}, {}} {
		whole(t, s, quickStatus)
	}
}

// A field that quick does not know must not be lost.
func TestQuickLeavesTheRest(t *testing.T) {
	rec, status := everyday()
	rec.Request.CapAdd, rec.Request.Security.NoNewPrivileges = []string{"ALL"}, true
	status.Note, status.Exit.OOMKilled = "n", true
	whole(t, rec, quickContainer)
	whole(t, status, quickStatus)
}

func whole[T any](t *testing.T, want T, quick func(*jsontext.Reader, *T)) {
	t.Helper()
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got T
	ok := jsontext.Try(data, &got, quick)
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Errorf("%s: read %v:\n%s", data, ok, diff)
	}
}

// What quick takes, encoding/json takes too, and both read the same.
func FuzzQuick(f *testing.F) {
	rec, status := everyday()
	for _, v := range []any{rec, status} {
		data, err := json.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, s := range []string{
		`{"State":"exited","State":"x"}`, `{"Exit":{"Code":01}}`, `{"Pid":1,}`, `{,"Pid":1}`, `{"Pid":1}{`, `{"Args":["\ud800"]}`, `{"Args":[,]}`,
		`{"Request":{"Labels":{"a":"1","a":"2"}}}`, `{"Request":{"Entrypoint":null}}`, `{"Created":"2026-01-01T00:00:00+01:00"}`, "{\"ID\":\"\xff\"}",
		`{"exit":{"Code":1},"Exit":{"Signal":2}}`, `{"Request":{"labels":{"a":"b"},"Labels":null}}`, `{"MonitorTicks":18446744073709551615}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		agree(t, data, quickContainer)
		agree(t, data, quickStatus)
	})
}

func agree[T any](t *testing.T, data []byte, quick func(*jsontext.Reader, *T)) {
	var got, want T
	if !jsontext.Try(data, &got, quick) {
		return
	}
	if err := json.Unmarshal(data, &want); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%q: quick reads %+v, encoding/json %+v, %v", data, got, want, err)
	}
}

func BenchmarkDecode(b *testing.B) {
	rec, _ := everyday()
	data, err := json.Marshal(rec)
	if err != nil {
		b.Fatal(err)
	}
	var c Container
	b.Run("quick", func(b *testing.B) {
		for b.Loop() {
			_ = jsontext.Decode(data, &c, quickContainer)
		}
	})
	b.Run("json", func(b *testing.B) {
		for b.Loop() {
			_ = json.Unmarshal(data, &c)
		}
	})
}

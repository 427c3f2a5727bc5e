package container

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// everyday are records as most containers have them.
func everyday() (Container, Status) {
	at := time.Date(2026, 8, 1, 12, 0, 0, 123456789, time.UTC)
	return Container{
		ID: "ab", Name: "web", Created: at, Image: "sha256:1", ImageRef: "alpine", Snapshot: "ab", Path: "sh", Args: []string{"-c", `echo "a" && b > c; é`},
		Request: Request{
			Image: "alpine", Args: []string{"sh"}, Env: []string{"A=1"}, User: "1:2", Hostname: "h", TTY: true, Remove: true,
			Network: "none", Labels: map[string]string{"a": "b", "c": ""}, Restart: RestartPolicy{Name: "always"}, Pull: "missing",
		},
	}, Status{
		State: Exited, Pid: 7, StartTicks: 99, BootID: "x-y", MonitorPid: 8, MonitorTicks: 100,
		Exit: &ExitStatus{Code: 137, Signal: 9}, Error: "no", StartedAt: at, FinishedAt: at.Add(time.Second),
	}
}

// took says whether quick alone decodes data, and to what.
func took[T any](data []byte, quick func(*cursor, *T)) (v T, ok bool) {
	c := cursor{rest: string(data)}
	quick(&c, &v)
	return v, !c.bad && c.rest == ""
}

func TestQuickReadsOurOwn(t *testing.T) {
	rec, status := everyday()
	for _, c := range []Container{rec, {}, {Request: Request{Entrypoint: []string{}}}} {
		data, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := took(data, quickContainer)
		if diff := cmp.Diff(c, got); !ok || diff != "" {
			t.Errorf("%s: read %v:\n%s", data, ok, diff)
		}
	}
	for _, s := range []Status{status, {State: Running, Pid: 1}, {}} {
		data, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := took(data, quickStatus)
		if diff := cmp.Diff(s, got); !ok || diff != "" {
			t.Errorf("%s: read %v:\n%s", data, ok, diff)
		}
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

func whole[T any](t *testing.T, want T, quick func(*cursor, *T)) {
	t.Helper()
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got T
	if err := decode(data, &got, quick); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
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
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		agree(t, data, quickContainer)
		agree(t, data, quickStatus)
	})
}

func agree[T any](t *testing.T, data []byte, quick func(*cursor, *T)) {
	got, ok := took(data, quick)
	if !ok {
		return
	}
	var want T
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
			_ = decode(data, &c, quickContainer)
		}
	})
	b.Run("json", func(b *testing.B) {
		for b.Loop() {
			_ = json.Unmarshal(data, &c)
		}
	})
}

package cgroup

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-engine/berth/runtime/cgroup/systemd"
)

func TestAnnotated(t *testing.T) {
	got, err := annotated(map[string]string{
		AnnotationPrefix + "TimeoutStopUSec": "uint64 123456789",
		AnnotationPrefix + "RuntimeMaxSec":   "1.5",
		AnnotationPrefix + "CollectMode":     "'inactive-or-failed'",
		AnnotationPrefix + "Delegate":        "true",
		AnnotationPrefix + "After":           "['crio.service']",
		AnnotationPrefix + "KillSignal":      "15",
		"org.systemd.Property.X":             "1",
		"com.example":                        "1",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []systemd.Property{
		{Name: "After", Value: []string{"crio.service"}},
		{Name: "CollectMode", Value: "inactive-or-failed"},
		{Name: "Delegate", Value: true},
		{Name: "KillSignal", Value: int32(15)},
		{Name: "RuntimeMaxUSec", Value: uint64(1500000)},
		{Name: "TimeoutStopUSec", Value: uint64(123456789)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnnotatedRefuses(t *testing.T) {
	for _, tt := range [][3]string{ // name, value, what the error says
		{"FailureAction", "'reboot'", "no property that an annotation may set"},
		{"Conflicts", "['ssh.service']", "no property"},
		{"Wants", "['x.service']", "no property"},
		{"Slice", "'system.slice'", "no property"},
		{"PIDs", "[uint32 1]", "no property"},
		{"ExecStart", "''", "no property"},
		{"", "1", "no property"},
		{"Sec", "1", "no property"},
		{"CollectModeUSec", "1", "no property"},
		{"TimeoutStopSec", "-1", "no number of seconds"},
		{"TimeoutStopSec", "1e30", "no number of seconds"},
		{"TimeoutStopSec", "'5'", "a number"},
		{"TimeoutStopUSec", "int32 5", `of type "i"`},
		{"CollectMode", "inactive", "in quotes"},
		{"Delegate", "false", "is delegated"},
	} {
		_, err := annotated(map[string]string{AnnotationPrefix + tt[0]: tt[1]})
		if err == nil || !strings.Contains(err.Error(), `annotations["org.systemd.property.`+tt[0]+`"]`) || !strings.Contains(err.Error(), tt[2]) {
			t.Errorf("%s = %s: %v", tt[0], tt[1], err)
		}
	}
	twice := map[string]string{AnnotationPrefix + "TimeoutStopSec": "1", AnnotationPrefix + "TimeoutStopUSec": "1"}
	if _, err := annotated(twice); err == nil || !strings.Contains(err.Error(), "a second time") {
		t.Error(err)
	}
}

func TestOverride(t *testing.T) {
	got := override([]systemd.Property{{Name: "A", Value: true}, {Name: "B", Value: true}}, []systemd.Property{{Name: "B", Value: false}, {Name: "C", Value: "c"}})
	want := []systemd.Property{{Name: "A", Value: true}, {Name: "B", Value: false}, {Name: "C", Value: "c"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

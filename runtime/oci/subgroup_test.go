package oci

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSubGroups(t *testing.T) {
	cpu, memory := t.TempDir(), t.TempDir()
	for _, dir := range []string{cpu, memory} {
		if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	groups := map[string]string{"cpu": cpu, "memory": memory}
	for _, tt := range []struct {
		name        string
		sub         map[string]string
		cpu, memory string
		err         string
	}{
		{"none", nil, cpu, memory, ""},
		{"all", map[string]string{"": "sub"}, cpu + "/sub", memory + "/sub", ""},
		{"one", map[string]string{"cpu": "/sub"}, cpu + "/sub", memory, ""},
		{"the same", map[string]string{"cpu": "/"}, cpu, memory, ""},
		{"unknown", map[string]string{"moon": "sub"}, "", "", "unknown controller moon"},
		{"above", map[string]string{"cpu": "../x"}, "", "", "bad sub cgroup path: ../x"},
		{"missing", map[string]string{"cpu": "none"}, "", "", " adding pid to cgroup " + cpu + "/none: no such file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := subGroups(groups, tt.sub)
			if tt.err != "" {
				wantError(t, err, tt.err)
				return
			}
			if err != nil || got["cpu"] != tt.cpu || got["memory"] != tt.memory {
				t.Errorf("%v %v", got, err)
			}
		})
	}
}

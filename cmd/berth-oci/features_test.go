package main

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go/features"
)

func TestFeaturesOfSeccomp(t *testing.T) {
	s := newShell(t, "")
	var f features.Features
	if err := json.Unmarshal([]byte(s.want(0, "", "features")), &f); err != nil {
		t.Fatal(err)
	}
	p := f.Linux.Seccomp
	if !slices.Contains(p.Actions, "SCMP_ACT_NOTIFY") || !slices.Contains(p.Archs, "SCMP_ARCH_X32") ||
		len(p.KnownFlags) != 4 || !slices.Contains(p.SupportedFlags, "SECCOMP_FILTER_FLAG_LOG") {
		t.Errorf("%+v", p)
	}
}

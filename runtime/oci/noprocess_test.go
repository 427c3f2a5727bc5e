package oci

import (
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// A specification without a process is enough to create, not to start or run.
func TestNoProcess(t *testing.T) {
	p := newPod(t, "true")
	p.spec.Process = nil
	p.create(newOutput(t))
	p.wantStatus(specs.StateCreated)
	err := p.Start(t.Context(), p.id)
	wantError(t, err, "process: missing")
	p.wantStatus(specs.StateCreated)
	if err := p.Delete(t.Context(), p.id, true); err != nil {
		t.Fatal(err)
	}
	_, _, err = p.run()
	wantError(t, err, "process.args")
}

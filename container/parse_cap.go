package container

import (
	"strings"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/kernel"
)

// AllCaps is the word that stands for every capability.
const AllCaps = "ALL"

// ParseCap reads one --cap-add or --cap-drop: any case, with or without CAP_,
// or ALL. The result is canonical.
func ParseCap(s string) (string, error) {
	c := strings.ToUpper(s)
	if c == AllCaps {
		return c, nil
	}
	if !strings.HasPrefix(c, "CAP_") {
		c = "CAP_" + c
	}
	if kernel.CapNumber(c) < 0 {
		return "", fault.New(fault.Invalid, "unknown capability: %q", printable(s))
	}
	return c, nil
}

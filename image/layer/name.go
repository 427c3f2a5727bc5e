package layer

import (
	"path"
	"strconv"
	"strings"

	"github.com/berth-engine/berth/internal/fault"
)

// Limits of Linux on names, in bytes.
const (
	maxPath      = 4096
	maxComponent = 255
)

// AUFS names, which the OCI image spec took over (image-spec layer.md,
// "Whiteouts").
const (
	whiteoutPrefix = ".wh."
	opaqueName     = ".wh..wh..opq"
	metaPrefix     = ".wh..wh." // AUFS' own bookkeeping
)

// cleanName checks a path of the tar and returns it relative to the root and
// without empty or "." components. The root itself is "".
func cleanName(raw string) (string, error) {
	if raw == "" {
		return "", fault.New(fault.Invalid, "empty name")
	}
	if len(raw) > maxPath {
		return "", fault.New(fault.Invalid, "name of %d bytes, the limit is %d", len(raw), maxPath)
	}
	if strings.IndexByte(raw, 0) >= 0 {
		return "", fault.New(fault.Invalid, "NUL in the name")
	}
	for c := range strings.SplitSeq(raw, "/") {
		if c == ".." {
			return "", fault.New(fault.Invalid, `".." in the name`)
		}
		if len(c) > maxComponent {
			return "", fault.New(fault.Invalid, "component of %d bytes, the limit is %d", len(c), maxComponent)
		}
	}
	return path.Clean("/" + raw)[1:], nil
}

// quote makes a name from a tar fit for a message: on one line, harmless to a
// terminal, and not endless.
func quote(name string) string {
	const longest = 200
	if len(name) > longest {
		return strconv.Quote(name[:longest]) + "…"
	}
	return strconv.Quote(name)
}

// split cuts a clean name into directory ("" is the root) and last component.
func split(name string) (dir, base string) {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return "", name
	}
	return name[:i], name[i+1:]
}

// mark is what the last component of a name means.
type mark int

const (
	markNone   mark = iota // an ordinary entry
	markDelete             // .wh.NAME
	markOpaque             // .wh..wh..opq
	markMeta               // other AUFS bookkeeping, to be ignored
)

// parseMark reads whiteout names. Those that name nothing, or something that
// is no single component, are errors; so is an ordinary entry below a
// directory with a whiteout's name.
func parseMark(dir, base string) (m mark, target string, err error) {
	if strings.HasPrefix(dir, whiteoutPrefix) || strings.Contains(dir, "/"+whiteoutPrefix) {
		return markNone, "", fault.New(fault.Invalid, "entry below a whiteout")
	}
	if !strings.HasPrefix(base, whiteoutPrefix) {
		return markNone, "", nil
	}
	if base == opaqueName {
		return markOpaque, "", nil
	}
	if strings.HasPrefix(base, metaPrefix) {
		return markMeta, "", nil
	}
	target = base[len(whiteoutPrefix):]
	if target == "" || target == "." || target == ".." {
		return markNone, "", fault.New(fault.Invalid, "whiteout of %q", target)
	}
	return markDelete, target, nil
}

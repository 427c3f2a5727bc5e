package image

import (
	"strings"

	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/internal/fault"
)

// HostName is the name of the embedded image.
const HostName = "host"

// parseTagged is parseReference with :latest where there is neither tag nor
// digest. A digest wins over a tag that is given with it.
func parseTagged(name string) (reference, error) {
	r, err := parseReference(name)
	if err != nil {
		return r, err
	}
	switch {
	case r.digest != "":
		r.tag = ""
	case r.tag == "":
		r.tag = "latest"
	}
	return r, nil
}

// parseTag is for names that an image is given: a tag and no digest.
func parseTag(name string) (reference, error) {
	if name == HostName {
		return reference{}, fault.New(fault.Invalid, "image name %q is the machine's own image: choose another", name)
	}
	r, err := parseTagged(name)
	if err == nil && r.digest != "" {
		err = fault.New(fault.Invalid, "image name %q: a tag cannot be a digest", clip(name))
	}
	return r, err
}

// Familiar shortens a full name as docker prints it: docker.io/library/alpine:3
// is alpine:3. What is no name comes back as it is.
func Familiar(ref string) string {
	r, err := parseReference(ref)
	if err != nil {
		return ref
	}
	return r.familiar()
}

// Normalize is the opposite of Familiar: the full name with tag or digest that
// a user's short one stands for.
func Normalize(name string) (string, error) {
	r, err := parseTagged(name)
	return r.String(), err
}

// isDigestRef tells name@digest from name:tag.
func isDigestRef(ref string) bool { return strings.Contains(ref, "@") }

// repoOf is the full name without tag and digest.
func repoOf(ref string) string {
	r, err := parseReference(ref)
	if err != nil {
		return ref
	}
	return r.name()
}

// hexPrefix gives the digits of a sha256 ID or of a prefix of one.
func hexPrefix(name string) (string, bool) {
	hex := strings.TrimPrefix(name, string(digest.SHA256)+":")
	return hex, hex != "" && len(hex) <= 64 && isHex(hex)
}

// clip keeps foreign text in messages short.
func clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "..."
	}
	return s
}

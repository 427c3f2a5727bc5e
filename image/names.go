package image

import (
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/berth-engine/berth/internal/fault"
)

// HostName is the name of the embedded image.
const HostName = "host"

// parseName reads a reference as docker does: alpine is
// docker.io/library/alpine.
func parseName(name string) (reference.Named, error) {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return nil, fault.New(fault.Invalid, "image name %q: %w", clip(name), err)
	}
	return named, nil
}

// parseTagged is parseName with :latest where there is neither tag nor digest.
// A digest wins over a tag that is given with it.
func parseTagged(name string) (reference.Named, error) {
	named, err := parseName(name)
	if err != nil {
		return nil, err
	}
	if d, ok := named.(reference.Digested); ok {
		return reference.WithDigest(reference.TrimNamed(named), d.Digest())
	}
	return reference.TagNameOnly(named), nil
}

// parseTag is for names that an image is given: a tag and no digest.
func parseTag(name string) (reference.NamedTagged, error) {
	if name == HostName {
		return nil, fault.New(fault.Invalid, "image name %q is the machine's own image: choose another", name)
	}
	named, err := parseTagged(name)
	if err != nil {
		return nil, err
	}
	tagged, ok := named.(reference.NamedTagged)
	if !ok {
		return nil, fault.New(fault.Invalid, "image name %q: a tag cannot be a digest", clip(name))
	}
	return tagged, nil
}

// Familiar shortens a full name as docker prints it: docker.io/library/alpine:3
// is alpine:3. What is no name comes back as it is.
func Familiar(ref string) string {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return ref
	}
	return reference.FamiliarString(named)
}

// isDigestRef tells name@digest from name:tag.
func isDigestRef(ref string) bool { return strings.Contains(ref, "@") }

// repoOf is the full name without tag and digest.
func repoOf(ref string) string {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return ref
	}
	return named.Name()
}

// lookupForm is what the reference part of an image's record is compared to.
// For sha256 IDs and prefixes of them it gives the hex digits.
func hexPrefix(name string) (string, bool) {
	hex := strings.TrimPrefix(name, string(digest.SHA256)+":")
	if hex == "" || len(hex) > 64 || strings.Trim(hex, "0123456789abcdef") != "" {
		return "", false
	}
	return hex, true
}

// clip keeps foreign text in messages short.
func clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "..."
	}
	return s
}

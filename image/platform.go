package image

import (
	"runtime"
	"slices"
	"strings"

	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/fault"
)

// parsePlatform reads "os/arch[/variant]" or "arch"; empty means this machine.
func parsePlatform(s string) (ocispec.Platform, error) {
	p := ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}
	if s == "" {
		return normal(p), nil
	}
	parts := strings.Split(strings.ToLower(s), "/")
	if len(parts) > 3 || slices.Contains(parts, "") {
		return p, fault.New(fault.Invalid, "platform %q: want os/arch or os/arch/variant, as in linux/arm64", clip(s))
	}
	switch len(parts) {
	case 1:
		p.Architecture = parts[0]
	case 2:
		p.OS, p.Architecture = parts[0], parts[1]
	case 3:
		p.OS, p.Architecture, p.Variant = parts[0], parts[1], parts[2]
	}
	if p.OS != "linux" {
		return p, fault.New(fault.Unsupported, "platform %q: only linux images can be run", clip(s))
	}
	return normal(p), nil
}

// normal gives a platform its usual name, so that equal ones are equal.
func normal(p ocispec.Platform) ocispec.Platform {
	p.OS, p.Architecture, p.Variant = strings.ToLower(p.OS), strings.ToLower(p.Architecture), strings.ToLower(p.Variant)
	switch p.Architecture {
	case "x86_64", "x86-64":
		p.Architecture = "amd64"
	case "aarch64":
		p.Architecture = "arm64"
	case "armhf":
		p.Architecture = "arm"
	case "armel":
		p.Architecture, p.Variant = "arm", "v6"
	case "i386", "i686":
		p.Architecture = "386"
	}
	switch {
	case p.Architecture == "arm64" && p.Variant == "v8", p.Architecture == "amd64" && p.Variant == "v1":
		p.Variant = ""
	case p.Architecture == "arm" && p.Variant == "":
		p.Variant = "v7"
	}
	return p
}

// rank says how well have serves want; 0 is not at all. Equal variants are
// best; an arm machine also runs older variants, newest first.
func rank(want, have ocispec.Platform) int {
	want, have = normal(want), normal(have)
	if want.OS != have.OS || want.Architecture != have.Architecture {
		return 0
	}
	if want.Variant == have.Variant {
		return 100
	}
	if want.Architecture == "arm" && have.Variant < want.Variant && len(have.Variant) == 2 {
		return int(have.Variant[1] - '0')
	}
	if want.Variant != "" && have.Variant == "" {
		return 1 // the index does not tell
	}
	return 0
}

// pick chooses the manifest of an index for a platform. Entries without a
// platform count only when there is nothing else to go by.
func pick(want ocispec.Platform, list []ocispec.Descriptor) (ocispec.Descriptor, error) {
	best, at := 0, -1
	var have []string
	for i, d := range list {
		if d.Annotations["vnd.docker.reference.type"] != "" {
			continue // an attestation about another entry
		}
		r := 0
		if d.Platform == nil {
			r = 1
		} else {
			have = append(have, platformString(*d.Platform))
			r = 2 * rank(want, *d.Platform)
		}
		if r > best {
			best, at = r, i
		}
	}
	if at < 0 {
		return ocispec.Descriptor{}, wrongPlatform(strings.Join(have, ", "), want)
	}
	return list[at], nil
}

// platformError says that an image is for another machine. It is
// fault.Unsupported, and a type of its own for those who try the next manifest
// of an archive.
type platformError struct{ have, want string }

func (e *platformError) Error() string {
	return "the image is for " + e.have + ", wanted is " + e.want + ": choose with --platform, or take an image of this architecture"
}

func (e *platformError) Is(target error) bool { return target == fault.Unsupported }

// wrongPlatform names both sides.
func wrongPlatform(have string, want ocispec.Platform) error {
	if have == "" {
		have = "no platform at all"
	}
	return &platformError{have: clean(have), want: platformString(want)}
}

func platformString(p ocispec.Platform) string {
	p = normal(p)
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

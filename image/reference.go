package image

import (
	"net/netip"
	"strings"

	"github.com/berth-engine/berth/image/blob"
	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/internal/fault"
)

// reference is a parsed image name, with everything that a short name leaves
// out filled in:
//
//	docker.io / library/alpine : 3.20 @ sha256:…
//	domain      path             tag    digest
//
// The grammar is that of github.com/distribution/reference, held to it by a
// fuzz test. It is written out here because that package compiles its regular
// expressions whenever a program starts, which berth --version would pay for.
type reference struct {
	domain, path string
	tag          string
	digest       digest.Digest
}

// The parts of docker's default registry.
const (
	defaultDomain = "docker.io"
	legacyDomain  = "index.docker.io"
	official      = "library/"
)

// maxPath bounds the path of a reference, in bytes.
const maxPath = 255

// parseReference reads a name as docker does: alpine is
// docker.io/library/alpine.
func parseReference(s string) (reference, error) {
	r, why := split(s)
	if why != "" {
		return reference{}, fault.New(fault.Invalid, "invalid reference format: %q: %s", clip(s), why)
	}
	return r, nil
}

func split(s string) (r reference, why string) {
	if s == "" {
		return r, "it is empty"
	}
	if len(s) == 64 && isHex(s) {
		return r, "64 hexadecimal digits are an image ID, not a name"
	}
	rest := s
	r.domain, rest = splitDomain(rest)
	rest, sum, hasDigest := strings.Cut(rest, "@")
	path, tag, hasTag := strings.Cut(rest, ":")
	r.path, r.tag, r.digest = path, tag, digest.Digest(sum)
	if r.domain == defaultDomain && !strings.Contains(r.path, "/") {
		r.path = official + r.path
	}
	switch {
	case r.path != strings.ToLower(r.path):
		return r, "repository name must be lowercase"
	case !validDomain(r.domain):
		return r, "the part before the first slash is no host name"
	case !validPath(r.path):
		return r, "a repository name is lowercase letters and digits, with single '.', '_' or '-' between them"
	case len(r.path) > maxPath:
		return r, "repository name is longer than 255 characters"
	case hasTag && !validTag(r.tag):
		return r, "a tag is up to 128 letters, digits, '_', '.' and '-', and does not begin with '.' or '-'"
	case hasDigest && blob.Check(r.digest) != nil:
		return r, "the part after '@' is no sha256 or sha512 digest"
	}
	return r, ""
}

// splitDomain cuts the registry's host off, if there is one: the first part of
// a path is a host when nothing else can look like it.
func splitDomain(s string) (domain, rest string) {
	first, rest, ok := strings.Cut(s, "/")
	switch {
	case !ok:
		return defaultDomain, s
	case first == legacyDomain:
		return defaultDomain, rest
	case first == "localhost", strings.ContainsAny(first, ".:"), strings.ToLower(first) != first:
		return first, rest
	}
	return defaultDomain, s
}

func validDomain(s string) bool {
	host, port := s, ""
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return false
		}
		host, port = s[1:end], s[end+1:]
		if a, err := netip.ParseAddr(host); err != nil || !a.Is6() || a.Zone() != "" {
			return false
		}
		return port == "" || validPort(port)
	}
	if i := strings.IndexByte(s, ':'); i >= 0 {
		host, port = s[:i], s[i:]
		if !validPort(port) {
			return false
		}
	}
	for part := range strings.SplitSeq(host, ".") {
		if part == "" || part[0] == '-' || part[len(part)-1] == '-' || !only(part, isLetter, isDigit, is('-')) {
			return false
		}
	}
	return true
}

// validPort reads a colon and digits.
func validPort(s string) bool { return len(s) > 1 && s[0] == ':' && only(s[1:], isDigit) }

func validPath(s string) bool {
	for part := range strings.SplitSeq(s, "/") {
		if !validComponent(part) {
			return false
		}
	}
	return true
}

// validComponent: letters and digits, joined by one '.', one or two '_', or
// any number of '-'.
func validComponent(s string) bool {
	joint := ""
	for i := range len(s) {
		c := s[i]
		switch {
		case isLower(c) || isDigit(c):
			if joint != "" && joint != "." && joint != "_" && joint != "__" && strings.Trim(joint, "-") != "" {
				return false
			}
			joint = ""
		case i > 0 && (c == '.' || c == '_' || c == '-'):
			joint += string(c)
		default:
			return false
		}
	}
	return s != "" && joint == ""
}

func validTag(s string) bool {
	return s != "" && len(s) <= 128 && s[0] != '.' && s[0] != '-' && only(s, isLetter, isDigit, is('_'), is('.'), is('-'))
}

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }

func only(s string, classes ...func(byte) bool) bool {
next:
	for i := range len(s) {
		for _, in := range classes {
			if in(s[i]) {
				continue next
			}
		}
		return false
	}
	return true
}

func isLower(c byte) bool            { return 'a' <= c && c <= 'z' }
func isLetter(c byte) bool           { return isLower(c) || 'A' <= c && c <= 'Z' }
func isDigit(c byte) bool            { return '0' <= c && c <= '9' }
func is(want byte) func(byte) bool   { return func(c byte) bool { return c == want } }
func (r reference) name() string     { return r.domain + "/" + r.path }
func (r reference) nameOnly() bool   { return r.tag == "" && r.digest == "" }
func (r reference) String() string   { return r.suffixed(r.name()) }
func (r reference) familiar() string { return r.suffixed(r.familiarName()) }

func (r reference) suffixed(s string) string {
	if r.tag != "" {
		s += ":" + r.tag
	}
	if r.digest != "" {
		s += "@" + string(r.digest)
	}
	return s
}

func (r reference) familiarName() string {
	if r.domain != defaultDomain {
		return r.name()
	}
	if short, ok := strings.CutPrefix(r.path, official); ok && !strings.Contains(short, "/") {
		return short
	}
	return r.path
}

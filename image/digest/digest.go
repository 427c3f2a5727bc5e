// Package digest names content by its hash, as the OCI image specification
// does (descriptor.md, "Digests").
//
//	sha256:7173b809ca12ec5dee4506cd86be934c4596dd234ee82c0662eac04a8c2c71dc
//	└ algorithm   └ encoded: lower-case hex
//
// It has the names of github.com/opencontainers/go-digest, and takes and
// refuses what that does. That package compiles five regular expressions
// whenever a program starts; see docs/decisions/081-digests.md.
package digest

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"strings"
)

// Digest names content. One from outside must be validated before anything
// else is asked of it.
type Digest string

// Algorithm is the part of a digest before the colon.
type Algorithm string

// The algorithms that can be calculated.
const (
	SHA256 Algorithm = "sha256"
	SHA384 Algorithm = "sha384"
	SHA512 Algorithm = "sha512"
)

// What Validate finds wrong.
var (
	ErrFormat      = errors.New("invalid checksum digest format")
	ErrLength      = errors.New("invalid checksum digest length")
	ErrUnsupported = errors.New("unsupported digest algorithm")
)

// NewDigest is the digest of what was written to h, a hash of algorithm a.
func NewDigest(a Algorithm, h hash.Hash) Digest {
	return NewDigestFromEncoded(a, hex.EncodeToString(h.Sum(nil)))
}

// NewDigestFromEncoded puts a digest together without a look at its parts.
func NewDigestFromEncoded(a Algorithm, encoded string) Digest {
	return Digest(string(a) + ":" + encoded)
}

// FromBytes is the SHA-256 digest of p.
func FromBytes(p []byte) Digest { return SHA256.FromBytes(p) }

// FromString is the SHA-256 digest of s.
func FromString(s string) Digest { return FromBytes([]byte(s)) }

// FromReader is the SHA-256 digest of everything that r has.
func FromReader(r io.Reader) (Digest, error) {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return NewDigest(SHA256, h), nil
}

// Validate says whether d is a digest that can be calculated.
func (d Digest) Validate() error {
	a, encoded, ok := strings.Cut(string(d), ":")
	if !ok || a == "" || encoded == "" {
		return ErrFormat
	}
	size := Algorithm(a).size()
	switch {
	case size == 0 && wellFormed(a, encoded):
		return ErrUnsupported
	case size == 0:
		return ErrFormat
	case len(encoded) != 2*size:
		return ErrLength
	case strings.Trim(encoded, "0123456789abcdef") != "":
		return ErrFormat
	}
	return nil
}

// wellFormed is the specification's grammar, for algorithms that we do not
// know:
//
//	algorithm ::= component (separator component)*    component ::= [a-z0-9]+
//	separator ::= [+._-]                              encoded   ::= [a-zA-Z0-9=_-]+
func wellFormed(algorithm, encoded string) bool {
	component := false // the last byte belongs to one
	for _, c := range []byte(algorithm) {
		letter := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !letter && (!component || strings.IndexByte("+._-", c) < 0) {
			return false
		}
		component = letter
	}
	for _, c := range []byte(encoded) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '=' || c == '_' || c == '-') {
			return false
		}
	}
	return component
}

// Algorithm is what comes before the colon. It panics without one.
func (d Digest) Algorithm() Algorithm {
	a, _ := d.parts()
	return Algorithm(a)
}

// Encoded is what comes behind the colon. It panics without one.
func (d Digest) Encoded() string {
	_, encoded := d.parts()
	return encoded
}

func (d Digest) parts() (algorithm, encoded string) {
	algorithm, encoded, ok := strings.Cut(string(d), ":")
	if !ok {
		panic("digest: used without a look whether it is one: " + string(d))
	}
	return algorithm, encoded
}

func (d Digest) String() string { return string(d) }

func (a Algorithm) String() string { return string(a) }

// size is the length of a hash in bytes; 0 for an unknown algorithm.
func (a Algorithm) size() int {
	switch a {
	case SHA256:
		return sha256.Size
	case SHA384:
		return sha512.Size384
	case SHA512:
		return sha512.Size
	}
	return 0
}

// Hash begins a hash. It panics for an algorithm that is none of ours.
func (a Algorithm) Hash() hash.Hash {
	switch a {
	case SHA256:
		return sha256.New()
	case SHA384:
		return sha512.New384()
	case SHA512:
		return sha512.New()
	}
	panic("digest: no such algorithm: " + string(a))
}

// FromBytes is the digest of p.
func (a Algorithm) FromBytes(p []byte) Digest {
	h := a.Hash()
	h.Write(p)
	return NewDigest(a, h)
}

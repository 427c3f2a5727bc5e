// Package registry reads images from registries by the OCI distribution
// protocol.
//
//	r, err := registry.Open("docker.io", "library/alpine", registry.Options{})
//	d, err := r.Resolve(ctx, "latest")        what the tag is now (a hint)
//	d, body, err := r.Manifest(ctx, digest)   small, bounded, verified
//	rc, err := r.Open(ctx, layer)             resumes by Range when cut off
//
//	Repo.do ── retries, back-off ──► oras auth.Client ── tokens ──► guard ──► net/http
//	                                  credentials of                drops what must
//	                                  ~/.docker/config.json         not leave the host
//
// oras-go speaks the token and credential parts. What a registry answers is
// foreign: sizes, digests, media types and redirects are checked or bounded
// here, and everything that goes wrong comes back as a fault of the class that
// fits, in the words docker's users know. A Repo is an image source for
// image/blob; it unpacks and stores nothing.
package registry

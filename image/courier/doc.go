// Package courier lets a program of its own talk to registries and decompress.
//
// A program that starts containers has no use for TLS, HTTP and a user's
// credentials: they would cost each start more than the container does, and
// what reads bytes from the network had better not be what makes namespaces.
// So berth keeps the images, and berth-registry fetches them, into the same
// store:
//
//	berth                                  berth-registry --root ROOT pull NAME
//	  │ ── starts it ──────────────────────────► │
//	  │ ◄── {"event":{"text":"Pulling from …"}}  │  any number of them
//	  │ ◄── {"done":{"id":"sha256:…", …}}        │  or {"error":{"kind":…,"text":…}}
//	  │                                          ┴  the last line
//	  └ reads the image from its own store
//
// The engine gives Fetch to image.Open; berth-registry calls Answer. It is told
// to give up by SIGTERM, and by the end of its standard input, which is how it
// learns of our death. It then leaves what a cancelled pull leaves, and says so
// in its last line.
//
// The tables of decompressors cost each start as well, and what they read has
// been written by strangers. Decode, which image.Open is given too, starts the
// same program for each compressed stream that is loaded or imported:
//
//	stream ──► stdin  berth-registry decompress KIND  stdout ──► plain
//
// Courier knows nothing of registries. It believes none of the lines: their
// length is bounded, their texts are for people, and the image is what the
// store says it is.
package courier

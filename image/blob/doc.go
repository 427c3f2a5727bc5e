// Package blob keeps immutable bytes under the name of their digest.
//
//	ROOT/blobs/sha256/HEX     whole, verified, never changed
//	ROOT/blobs/ingest/        files being written and locks: nobody reads them
//	ROOT/blobs/corrupt/HEX    bytes that no longer match their name
//
//	 Source ──Open──► bytes ──Put──► Sink        Copy walks a manifest and
//	registry, store, archive      store, archive  brings everything below it
//
// A Writer hashes while it writes; Commit compares digest and size, syncs the
// file and renames it into place, so what stands under sha256/ is complete
// even after a power cut. Open verifies again while it is read: the reader's
// last Read fails with fault.Damaged when the disk lied. Blob knows the media
// types of manifests and nothing else of images.
package blob

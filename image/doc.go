// Package image turns names into images: a config, and a tree to run it on.
//
//	                   ┌── registry ──┐
//	name ──► Pull ─────┤              ├──► blob ──► layer ──► snapshot
//	         Load ─────┤   archive    │    bytes    tar       trees
//	         Import ───┴── rootfs tar ┘      │                  │
//	                                         ▼                  ▼
//	Resolve ◄── images.json ── images/HEX.json (config, layers, top)
//
// Call Open, then Resolve or Ensure. On disk below root:
//
//	images.json      image ID -> names; the only thing that makes an image exist
//	images/HEX.json  what running the image needs, so that manifests are parsed once
//	images.lock      held while one of them, or what is garbage, changes
//	leases/          what pulls under way need, so that nobody collects it
//
// Everything foreign is checked before anything points to it: digests and
// sizes of all bytes, media types, shapes, platforms, diff IDs. A pull brings
// all layers at once, each going from the wire through hash and decompression
// into its tree while its compressed bytes go to the blob store; the trees are
// committed when all are complete, the record after them, the tag last.
//
// Who fetches is up to the opener: Direct, in this process, or package courier,
// by another one that works on the same directory.
//
// Image does not run anything, mount anything or know of containers; Remove
// asks its caller who uses an image.
package image

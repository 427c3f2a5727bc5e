// Package layer turns a layer's tar stream into a directory tree and back.
//
//	blob ──► Decompress ──► tar ──► Apply ──► directory of one layer
//	         by a Decoder             │        char 0:0      = deleted below
//	                                  │        opaque xattr  = hides all below
//	                                  └ AUFS names: .wh.NAME, .wh..wh..opq
//	directory ──► Pack ──► tar
//
// A Decoder undoes gzip, zstd and bzip2: that of package codec in this process,
// that of package courier in one of its own.
//
// A tar is hostile until proven otherwise. Apply never leaves the directory
// that it is given, never writes through a file that is already there, and
// stops at the limits of Options; docs/decisions/020-layer-unpack.md has the
// rule for each kind of entry. It does not verify digests (the caller hashes
// the stream on its way in) and syncs nothing (package snapshot does, once for
// a whole layer). After an error the directory holds a part of the layer and
// is to be thrown away.
package layer

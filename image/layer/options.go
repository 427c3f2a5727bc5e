package layer

// Style is how a layer's deletions are kept in a directory.
type Style int

const (
	// Overlay keeps them in the form of the overlay file system, so that the
	// directory can be a lower layer: a whiteout is a character device 0:0, an
	// opaque directory carries trusted.overlay.opaque=y.
	Overlay Style = iota
	// Plain carries them out: what a whiteout names is removed from the
	// directory, which holds the layers below. Pack with Plain knows no
	// whiteouts at all.
	Plain
)

// The limits that hold where Options has zeros.
const (
	DefaultMaxSize    = 256 << 30 // bytes of one layer
	DefaultMaxEntries = 5_000_000
	DefaultRatio      = 200 // times the compressed size, beyond ratioFree
)

const (
	// ratioFree is how many bytes any blob may unpack to, however small it is.
	ratioFree = 1 << 30
	// reserve is the free space that unpacking leaves to the file system, so
	// that removing things still works afterwards.
	reserve = 32 << 20
	// maxNotes bounds Result.Skipped.
	maxNotes = 32
)

// Options of Apply and Pack. The zero value unpacks for overlay under the
// default limits.
type Options struct {
	Whiteouts  Style
	MaxSize    int64 // bytes of the tar and, apart from it, of the files in it (holes count)
	MaxEntries int64 // entries of the tar
	Blob       int64 // compressed size of the layer in bytes; 0 is unknown and disables Ratio
	Ratio      int   // a layer larger than 1 GiB must not exceed Blob times this
}

// Result says what Apply made.
type Result struct {
	Size    int64    // bytes of all regular files, holes included
	Entries int      // entries of the tar
	Skipped []string // entries left out and why, for the log; at most 32
}

// maxSize is the one limit that follows from MaxSize, Blob and Ratio.
func (o Options) maxSize() int64 {
	limit := o.MaxSize
	if limit <= 0 {
		limit = DefaultMaxSize
	}
	ratio := int64(o.Ratio)
	if ratio <= 0 {
		ratio = DefaultRatio
	}
	if o.Blob > 0 && o.Blob < limit/ratio {
		limit = min(limit, max(ratioFree, o.Blob*ratio))
	}
	return limit
}

func (o Options) maxEntries() int {
	if o.MaxEntries <= 0 {
		return DefaultMaxEntries
	}
	return int(o.MaxEntries)
}

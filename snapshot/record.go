package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/jsontext"
)

// Name is a committed tree. Layers use the hexadecimal of their chain ID.
type Name string

// Key is an active tree. Containers use their ID.
type Key string

// Host is the machine's own "/" as a read-only base. It is always there.
const Host Name = "host"

// validID holds names and keys to what can be a file name: a letter or digit,
// then letters, digits, '_', '.' and '-'. By hand, because a regular expression
// would be compiled at every start of the program.
func validID(id string) bool {
	ok := id != "" && len(id) <= 128 && strings.IndexByte("_.-", id[0]) < 0
	for i := 0; ok && i < len(id); i++ {
		c := id[i]
		ok = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-'
	}
	return ok
}

func checkID(kind, id string) error {
	if !validID(id) {
		return fault.New(fault.Invalid, "%s %q: want letters, digits, '_', '.', '-', at most 128", kind, id)
	}
	return nil
}

// record is what a name's file holds:
//
//	{"format":1,"name":"…","parent":"…","trees":["b7","a2"],"created":"…"}
//	crc32c 1a2b3c4d
//
// The second line is over the first one with its newline. Trees are directory
// names below l/, this layer's own first, the lowest last.
type record struct {
	Format  int       `json:"format"`
	Name    Name      `json:"name"`
	Parent  Name      `json:"parent,omitempty"`
	Trees   []string  `json:"trees"`
	Created time.Time `json:"created"`
}

const (
	recordFormat = 1
	maxRecord    = 64 << 10
	maxLayers    = 500 // overlay's own limit (OVL_MAX_STACK)
)

// crc32c is the checksum of iSCSI, RFC 3720 appendix B.4, bit by bit: the
// tables of package crc32 take longer to make than a record takes to read.
func crc32c(data []byte) uint32 {
	crc := ^uint32(0)
	for _, b := range data {
		crc ^= uint32(b)
		for range 8 {
			crc = crc>>1 ^ crc32.Castagnoli&-(crc&1)
		}
	}
	return ^crc
}

func (r *record) encode() ([]byte, error) {
	line, err := jsontext.Marshal(r)
	if err != nil {
		return nil, err
	}
	line = append(line, '\n')
	return fmt.Appendf(line, "crc32c %08x\n", crc32c(line)), nil
}

// decode returns the record in data, which must be that of name.
func decode(name Name, data []byte) (*record, error) {
	line, rest, _ := bytes.Cut(data, []byte("\n"))
	line = data[:min(len(line)+1, len(data))]
	if want := fmt.Sprintf("crc32c %08x\n", crc32c(line)); string(rest) != want {
		return nil, fault.New(fault.Damaged, "record of %s: checksum does not match", name)
	}
	var r record
	if err := jsontext.Unmarshal(line, &r); err != nil {
		return nil, fault.New(fault.Damaged, "record of %s: %w", name, err)
	}
	if r.Format != recordFormat {
		return nil, fault.New(fault.Unsupported, "record of %s: format %d, this berth knows %d", name, r.Format, recordFormat)
	}
	if r.Name != name || len(r.Trees) == 0 || len(r.Trees) > maxLayers {
		return nil, fault.New(fault.Damaged, "record of %s: is that of %q with %d trees", name, r.Name, len(r.Trees))
	}
	for _, id := range r.Trees {
		if checkID("tree", id) != nil {
			return nil, fault.New(fault.Damaged, "record of %s: tree %q", name, id)
		}
	}
	return &r, nil
}

// read returns the record of a committed name, and NotFound when there is none.
func (s *Store) read(name Name) (*record, error) {
	if err := checkID("name", string(name)); err != nil {
		return nil, err
	}
	f, err := os.Open(s.path(namesDir, string(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "no snapshot %s", name)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRecord))
	if errors.Is(err, syscall.EISDIR) {
		return nil, fault.As(fault.Damaged, err)
	}
	if err != nil {
		return nil, err
	}
	return decode(name, data)
}

// lookup is read plus a look whether all trees are there.
func (s *Store) lookup(name Name) (*record, error) {
	r, err := s.read(name)
	if err != nil {
		return nil, err
	}
	for _, id := range r.Trees {
		if _, err := os.Lstat(s.path(layersDir, id)); err != nil {
			return nil, fault.New(fault.Damaged, "snapshot %s: %w", name, err)
		}
	}
	return r, nil
}

// trees turns a record's tree names into the driver's values, topmost first.
func (s *Store) trees(r *record) []Tree {
	trees := make([]Tree, len(r.Trees))
	for i, id := range r.Trees {
		trees[i] = Tree{Dir: filepath.Join(s.root, layersDir, id)}
	}
	return trees
}

package plan

import (
	"slices"
	"strconv"
	"strings"

	"github.com/berth-engine/berth/internal/kernel"
)

const capSysAdmin = 21

func capWord(n uint8) string {
	if name := kernel.CapName(int(n)); name != "" {
		return name
	}
	return "capability " + strconv.Itoa(int(n))
}

// capReader turns names into bit sets and notes what cannot be had.
type capReader struct {
	have    uint64
	missing []string
}

func (r *capReader) set(names []string) uint64 {
	var set uint64
	for _, name := range names {
		n := kernel.CapNumber(name)
		if n >= 0 && r.have&(1<<n) != 0 {
			set |= 1 << n
		} else if !slices.Contains(r.missing, name) {
			r.missing = append(r.missing, name)
		}
	}
	return set
}

// capList spells out a set, lowest first.
func capList(set uint64) []uint8 {
	var list []uint8
	for n := range uint8(64) {
		if set&(1<<n) != 0 {
			list = append(list, n)
		}
	}
	return list
}

func capWords(set uint64) string {
	var words []string
	for _, n := range capList(set) {
		words = append(words, capWord(n))
	}
	return strings.Join(words, " ")
}

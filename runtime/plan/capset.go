package plan

// CapSet is the set of capabilities that names stand for, a bit each. Names
// that nobody knows are left out.
func CapSet(names []string) uint64 {
	r := capReader{have: ^uint64(0)}
	return r.set(names)
}

// CapWords names the capabilities of a set.
func CapWords(set uint64) string { return capWords(set) }

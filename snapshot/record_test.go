package snapshot

import (
	"hash/crc32"
	"strings"
	"testing"
)

func TestCRC(t *testing.T) {
	for _, s := range []string{"", "a", "123456789", strings.Repeat("berth\x00\xff", 100)} {
		if got, want := crc32c([]byte(s)), crc32.Checksum([]byte(s), crc32.MakeTable(crc32.Castagnoli)); got != want {
			t.Errorf("%q: got %08x, want %08x", s, got, want)
		}
	}
}

package layer

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/berth-engine/berth/image/layer/codec"
)

// BenchmarkApply unpacks BERTH_BENCH_LAYER, a tar that may be compressed, or
// else 3,000 files of up to 64 KiB. docs/decisions/020-layer-unpack.md has
// results beside those of tar and umoci.
func BenchmarkApply(b *testing.B) {
	needRoot(b)
	in := benchLayer(b)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		root, err := os.MkdirTemp(b.TempDir(), "")
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		r, err := Decompress(b.Context(), bytes.NewReader(in), codec.Decode)
		if err != nil {
			b.Fatal(err)
		}
		res, err := Apply(b.Context(), root, r, Options{})
		if err != nil {
			b.Fatal(err)
		}
		r.Close()
		b.SetBytes(res.Size)
		b.StopTimer()
		if err := os.RemoveAll(root); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

func benchLayer(b *testing.B) []byte {
	b.Helper()
	if path := os.Getenv("BERTH_BENCH_LAYER"); path != "" {
		in, err := os.ReadFile(path)
		if err != nil {
			b.Fatal(err)
		}
		return in
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	var entries []ent
	for i := range 3000 {
		text := fmt.Sprintf("%d", rnd.Uint64())
		entries = append(entries, file(fmt.Sprintf("usr/share/%d/%d", i/30, i), string(bytes.Repeat([]byte(text), rnd.IntN(3000)))))
	}
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(pack(b, entries...)); err != nil {
		b.Fatal(err)
	}
	w.Close()
	return out.Bytes()
}

package main

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/test/engines"
)

const (
	layers    = 5
	layerSize = 60 << 20 // bytes of file content
	fileSize  = 48 << 10 // in the mean
	pulls     = 5
)

// measurePull lets every engine fetch the same image from one registry. The
// image is removed and the disk is quiet before each turn.
func measurePull(b *bench) ([]result, error) {
	if err := b.needRegistry(); err != nil {
		return nil, err
	}
	name := b.registry + "/big:1"
	if err := b.pushBig(name); err != nil {
		return nil, err
	}
	puller := func(engine func() command, flags ...string) func() contender {
		return func() contender {
			e := engine()
			return contender{
				before: func(int) error { unix.Sync(); return nil },
				run:    func(int) error { return e.with("pull").with(flags...).with(name).run() },
				after:  func(int) error { return e.with("rmi", name).run() },
			}
		}
	}
	cs, absent := present(b.engines(
		puller(func() command { return b.berth }),
		puller(func() command { return b.docker }),
		puller(func() command { return b.podman }, "--tls-verify=false"),
	))
	t := interleave(min(b.Rounds, pulls), cs, absent)
	return compare("", "berth", t, absent, []goal{
		{"docker", 0.8, "≤ 0.8 × docker"},
		{"podman", 0.8, "≤ 0.8 × podman"},
	}), nil
}

// pushBig makes the image and has skopeo compress and push it.
func (b *bench) pushBig(name string) error {
	if _, err := engines.Find("skopeo", "skopeo"); err != nil {
		return err
	}
	file := b.path("big.tar")
	if err := writeBig(file); err != nil {
		return err
	}
	defer os.Remove(file)
	return command{
		"skopeo", "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false",
		"docker-archive:" + file, "docker://" + name,
	}.run()
}

// writeBig writes a docker archive whose layers compress about as well as
// programs do: half of each file is random, half is words.
func writeBig(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	w := tar.NewWriter(f)
	var paths, diffs []string
	for i := range layers {
		layer := fmt.Sprintf("%s.layer%d", file, i)
		digest, err := writeLayer(layer, i)
		if err != nil {
			return err
		}
		defer os.Remove(layer)
		paths, diffs = append(paths, digest+".tar"), append(diffs, "sha256:"+digest)
		if err := addFile(w, digest+".tar", layer); err != nil {
			return err
		}
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Cmd": []string{"/bin/true"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffs},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]any{map[string]any{"Config": "config.json", "RepoTags": []string{"big:1"}, "Layers": paths}})
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{"config.json": config, "manifest.json": manifest} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			return err
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return f.Close()
}

// writeLayer writes a plain tar of many files, the same ones in every run.
func writeLayer(file string, seed int) (digest string, err error) {
	f, err := os.Create(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	w := tar.NewWriter(io.MultiWriter(f, h))
	rnd := rand.New(rand.NewPCG(uint64(seed), 1))
	for n, sum := 0, 0; sum < layerSize; n++ {
		text := content(rnd, rnd.IntN(2*fileSize))
		sum += len(text)
		name := fmt.Sprintf("layer%d/dir%d/file%d", seed, n/50, n)
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			return "", err
		}
		if _, err := w.Write(text); err != nil {
			return "", err
		}
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), f.Close()
}

func content(rnd *rand.Rand, size int) []byte {
	out := make([]byte, 0, size+16)
	for len(out) < size/2 {
		out = append(out, byte(rnd.Uint32()))
	}
	for len(out) < size {
		out = fmt.Appendf(out, "word%d ", rnd.IntN(3000))
	}
	return out
}

func addFile(w *tar.Writer, name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: fi.Size()}); err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return err
}

package image

import (
	"encoding/json"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/berth-engine/berth/image/digest"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/snapshot"
)

// hostPath is what a login on most machines starts with.
const hostPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// hostImage is the machine's own root file system as an image. It exists on
// every machine, has no layers and no record, and cannot be removed.
func hostImage() (Image, error) {
	shell := firstExisting("/bin/bash", "/bin/sh")
	if shell == "" {
		return Image{}, fault.New(fault.NotFound, "image host: this machine has neither /bin/bash nor /bin/sh")
	}
	c := ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Config:   ocispec.ImageConfig{Cmd: []string{shell}, Env: []string{hostPath}},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{}},
	}
	text, err := json.Marshal(c)
	if err != nil {
		return Image{}, err
	}
	return Image{ID: digest.FromBytes(text), Refs: []string{HostName}, Config: c, Top: snapshot.Host}, nil
}

func firstExisting(paths ...string) string {
	for _, p := range paths {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	return ""
}

// sortNewest orders images as docker lists them.
func sortNewest(list []Image) {
	slices.SortFunc(list, func(a, b Image) int {
		if c := b.Created.Compare(a.Created); c != 0 {
			return c
		}
		return strings.Compare(string(a.ID), string(b.ID))
	})
}

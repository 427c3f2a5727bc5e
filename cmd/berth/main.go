//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// Command berth runs containers.
//
// The commands themselves are in package cli, which berth-doc shares. The
// settings above keep Go from reading, and holding open, control group files.
package main

import (
	"os"

	"github.com/berth-engine/berth/cmd/berth/cli"
	"github.com/berth-engine/berth/internal/brisk"
)

// Set by the linker: -X main.version=... -X main.commit=...
var (
	version = "unknown"
	commit  string
)

func main() {
	brisk.Start()
	os.Exit(cli.Main(cli.Build{Version: version, Commit: commit}, os.Args[1:], cli.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}

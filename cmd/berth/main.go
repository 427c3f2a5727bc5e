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
)

// version is set by the linker: -X main.version=...
var version = "unknown"

func main() {
	os.Exit(cli.Main(version, os.Args[1:], cli.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}

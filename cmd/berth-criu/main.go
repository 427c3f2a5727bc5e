// Berth-criu speaks with CRIU for berth-oci.
//
// Berth-oci starts it, and criu, for a checkpoint or a restore; see package
// runtime/criu for what is said. It is a program of its own because of what it
// contains: protobuf, which every start of berth-oci would pay for. It opens no
// file and needs no right.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/runtime/criu"
)

// version is set by the linker.
var version = "unknown"

// Descriptors that berth-oci starts us with: the one to itself, and CRIU's.
const (
	callerFD = 3
	criuFD   = 4
)

func main() { os.Exit(run(os.Args, os.Stdout, os.Stderr)) }

func run(argv []string, stdout, stderr io.Writer) int {
	var help, showVersion bool
	f := pflag.NewFlagSet("berth-criu", pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.BoolVarP(&help, "help", "h", false, "")
	f.BoolVarP(&showVersion, "version", "v", false, "")
	err := f.Parse(argv[1:])
	switch {
	case err == nil && showVersion:
		_, err = fmt.Fprintln(stdout, "berth-criu version "+version)
	case err == nil && help:
		err = usage(stdout)
	case err == nil && f.NArg() > 0:
		err = fault.New(fault.Invalid, "there is no command %q", f.Arg(0))
	case err == nil && !(isSocket(callerFD) && isSocket(criuFD)):
		err = fault.New(fault.Invalid, "berth-oci starts this program, with sockets at %d and %d", callerFD, criuFD)
	case err == nil:
		return serve(newWire(callerFD), newWire(criuFD))
	}
	if err != nil {
		fmt.Fprintf(stderr, "berth-criu: %v; see berth-criu --help\n", err)
		return 1
	}
	return 0
}

func isSocket(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFSOCK
}

func newWire(fd uintptr) *criu.Wire { return criu.NewWire(os.NewFile(fd, "socket")) }

func usage(w io.Writer) error {
	_, err := fmt.Fprint(w, `NAME:
   berth-criu - speak with CRIU for berth-oci

USAGE:
   berth-criu

   Berth-oci starts this program for berth-oci checkpoint and berth-oci restore.
   There is nothing to give it by hand: what it is asked comes over a socket.

OPTIONS:
   --help      print this
   --version   print the version
`)
	return err
}

// Berth-registry brings images from registries into berth's store.
//
// Berth starts it for each pull and reads its standard output; see package
// image/courier for what is said there. It is a program of its own because of
// what it contains: HTTP, TLS and a user's credentials, none of which belong
// into the program that starts containers.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/berth-engine/berth/image"
	"github.com/berth-engine/berth/image/courier"
	"github.com/berth-engine/berth/image/layer/codec"
	"github.com/berth-engine/berth/image/registry"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/snapshot"
	"github.com/berth-engine/berth/snapshot/overlay"
)

// version is set by the linker.
var version = "unknown"

func main() { os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr)) }

func run(argv []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var root string
	var help, showVersion bool
	f := pflag.NewFlagSet("berth-registry", pflag.ContinueOnError)
	f.SetInterspersed(false)
	f.SetOutput(io.Discard)
	f.StringVar(&root, "root", "/var/lib/berth", "directory of the images")
	f.BoolVarP(&help, "help", "h", false, "")
	f.BoolVarP(&showVersion, "version", "v", false, "")
	err := f.Parse(argv[1:])
	switch {
	case err == nil && showVersion:
		_, err = fmt.Fprintln(stdout, "berth-registry version "+version)
	case err == nil && (help || f.NArg() == 0):
		err = usage(stdout)
	case err == nil && f.Arg(0) == "decompress":
		return decompress(f.Args()[1:], stdin, stdout, stderr)
	case err == nil && f.Arg(0) != "pull":
		err = fault.New(fault.Invalid, "there is no command %q, only pull and decompress", f.Arg(0))
	case err == nil:
		return pull(root, f.Args()[1:], stdin, stdout, stderr)
	}
	return end(stderr, err)
}

// end gives the exit code of what has been said on stdout, or was not asked
// for by a program.
func end(stderr io.Writer, err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "berth-registry: %v; see berth-registry --help\n", err)
	return 1
}

func usage(w io.Writer) error {
	_, err := fmt.Fprint(w, `NAME:
   berth-registry - bring images from registries into berth's store

USAGE:
   berth-registry [--root DIR] pull [OPTION...] NAME[:TAG|@DIGEST]

   Berth starts this program for berth pull, and for berth run and berth create
   when an image is missing. It prints JSON lines: an "event" for each piece of
   news, and "done" or "error" at last. It gives up when it gets SIGTERM, SIGINT
   or SIGHUP, and when its standard input ends.

COMMANDS:
   pull             fetch an image
   decompress KIND  write standard input, which is gzip, zstd or bzip2, to
                    standard output; for berth load and berth import

OPTIONS:
   --root DIR           directory of the images (default /var/lib/berth)
   --platform PLATFORM  of pull: os/arch[/variant], if the image has several
   --quiet              of pull: no events
   --help               print this
   --version            print the version

ENVIRONMENT:
   DOCKER_CONFIG                       directory of config.json, which has the logins (~/.docker)
   HTTPS_PROXY, HTTP_PROXY, NO_PROXY   proxies
`)
	return err
}

// unwanted is why a pull ends that nobody waits for any more.
type unwanted string

func (u unwanted) Error() string { return "the pull was interrupted by " + string(u) }

// Is makes it the end of a context like any other.
func (u unwanted) Is(target error) bool { return target == context.Canceled }

func pull(root string, words []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var o image.PullOptions
	var quiet bool
	f := pflag.NewFlagSet("pull", pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.Platform, "platform", "", "")
	f.BoolVar(&quiet, "quiet", false, "")
	if err := f.Parse(words); err != nil {
		return end(stderr, err)
	}
	if f.NArg() != 1 {
		return end(stderr, fault.New(fault.Invalid, "pull: %d names given, want one", f.NArg()))
	}
	ctx, stop := wanted(stdin)
	defer stop()
	err := courier.Answer(stdout, quiet, func(tell func(image.Event)) (image.PullResult, error) {
		s, err := open(root)
		if err != nil {
			return image.PullResult{}, err
		}
		o.Progress = tell
		return s.Pull(ctx, f.Arg(0), o)
	})
	if err != nil {
		return 1 // said on stdout
	}
	return 0
}

// wanted is done when we are asked to give up. SIGPIPE is among the signals:
// nobody reads what we say, and the store is to be left in order.
func wanted(stdin io.Reader) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
	go func() {
		select {
		case s := <-signals:
			cancel(unwanted("signal: " + s.String()))
		case <-ctx.Done():
		}
	}()
	go func() { // ends with the process at the latest
		_, _ = io.Copy(io.Discard, stdin)
		cancel(unwanted("the end of standard input"))
	}()
	return ctx, func() { signal.Stop(signals); cancel(nil) }
}

// open is the engine's image store, with the network behind it.
func open(root string) (*image.Store, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(root, "snapshots")
	driver, err := overlay.New(dir)
	if err != nil {
		return nil, err
	}
	trees, err := snapshot.Open(dir, driver)
	if err != nil {
		return nil, err
	}
	return image.Open(root, trees, image.Direct(func(host, path string) (image.Repository, error) {
		return registry.Open(host, path, registry.Options{})
	}), codec.Decode)
}

// decompress is for berth, which does not contain what it takes. What is wrong
// with the stream goes to stderr in one line, as berth will say it.
func decompress(words []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(words) != 1 {
		return end(stderr, fault.New(fault.Invalid, "decompress: %d words given, want one: gzip, zstd or bzip2", len(words)))
	}
	plain, stop, err := codec.Decode(context.Background(), words[0], bufio.NewReaderSize(stdin, 1<<16))
	if errors.Is(err, fault.Unsupported) {
		return end(stderr, err)
	}
	if err == nil {
		defer stop()
		_, err = io.Copy(stdout, plain)
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return courier.BadStream
	}
	return 0
}

// Command berth-doc writes berth's manual pages, shell completions and the
// pages of docs/cli from its tree of commands:
//
//	berth-doc man DIR           DIR/berth.1, DIR/berth-run.1, …
//	berth-doc completion DIR    DIR/berth.bash, DIR/_berth, DIR/berth.fish
//	berth-doc markdown DIR      DIR/berth.md, DIR/berth_run.md, …
//
// It is a program of its own so that berth does not carry the generators.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/berth-engine/berth/cmd/berth/cli"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "berth-doc:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: berth-doc man|completion|markdown DIR")
	}
	if err := os.MkdirAll(args[1], 0o755); err != nil {
		return err
	}
	tree := cli.New()
	tree.DisableAutoGenTag = true
	switch args[0] {
	case "man":
		return man(tree, args[1])
	case "completion":
		return completion(tree, args[1])
	case "markdown":
		return doc.GenMarkdownTree(tree, args[1])
	}
	return fmt.Errorf("unknown kind %q: man, completion and markdown are known", args[0])
}

// man writes the same bytes on every day: a build can be repeated.
func man(tree *cobra.Command, dir string) error {
	date := time.Unix(0, 0).UTC()
	return doc.GenManTree(tree, &doc.GenManHeader{Title: "BERTH", Section: "1", Source: "berth", Manual: "berth", Date: &date}, dir)
}

func completion(tree *cobra.Command, dir string) error {
	for _, f := range []struct {
		name  string
		write func(string) error
	}{
		{"berth.bash", func(p string) error { return tree.GenBashCompletionFileV2(p, true) }},
		{"_berth", tree.GenZshCompletionFile},
		{"berth.fish", func(p string) error { return tree.GenFishCompletionFile(p, true) }},
	} {
		if err := f.write(filepath.Join(dir, f.name)); err != nil {
			return err
		}
	}
	return nil
}

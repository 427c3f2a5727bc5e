// Command berth-doc writes the manual of berth from its commands. It is run by
// make install and is not installed.
//
//	berth-doc man DIR        manual pages, section 1
//	berth-doc markdown DIR   the same as Markdown, one file for each command
package main

import (
	"errors"
	"fmt"
	"os"
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
		return errors.New("usage: berth-doc man|markdown DIR")
	}
	root := cli.New()
	plain(root)
	switch kind, dir := args[0], args[1]; kind {
	case "man":
		// No date: the same commands give the same pages.
		epoch := time.Unix(0, 0).UTC()
		header := &doc.GenManHeader{Title: "BERTH", Section: "1", Source: "berth", Manual: "berth", Date: &epoch}
		return doc.GenManTree(root, header, dir)
	case "markdown":
		return doc.GenMarkdownTree(root, dir)
	default:
		return fmt.Errorf("%s is neither man nor markdown", kind)
	}
}

// plain leaves out the line that says when and by what a page was made.
func plain(c *cobra.Command) {
	c.DisableAutoGenTag = true
	for _, sub := range c.Commands() {
		plain(sub)
	}
}

package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

// usage gives every command docker's form of usage errors and help.
func usage(root *cobra.Command) {
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return exit{codeEngine, fmt.Errorf("%w\n\nUsage:  %s\n\nRun '%s --help' for more information", err, useLine(c), c.CommandPath())}
	})
	root.SetUsageFunc(func(c *cobra.Command) error {
		fmt.Fprintf(c.OutOrStderr(), "\nUsage:  %s\n\n%s\n", useLine(c), c.Short)
		return nil
	})
	root.SetHelpFunc(func(c *cobra.Command, _ []string) { help(c) })
	root.SetHelpCommand(&cobra.Command{
		Use: "help [command]", Short: "Help about any command", Hidden: true,
		RunE: func(c *cobra.Command, args []string) error {
			target, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return exit{1, fmt.Errorf("unknown help topic: %v", args)}
			}
			help(target)
			return nil
		},
	})
}

func useLine(c *cobra.Command) string {
	if !c.HasParent() {
		return c.Use
	}
	line := c.Parent().CommandPath() + " " + c.Use
	if c.HasSubCommands() {
		line += " COMMAND"
	}
	return line
}

func help(c *cobra.Command) {
	w := c.OutOrStdout()
	text := c.Long
	if text == "" {
		text = c.Short
	}
	fmt.Fprintf(w, "Usage:  %s\n\n%s\n", useLine(c), text)
	if len(c.Aliases) > 0 {
		fmt.Fprintf(w, "\nAliases:\n  %s\n", c.NameAndAliases())
	}
	if c.Example != "" {
		fmt.Fprintf(w, "\nExamples:\n%s\n", c.Example)
	}
	commands(c, "groups", "Management Commands")
	commands(c, "verbs", "Commands")
	commands(c, "", "Commands")
	if f := c.LocalFlags(); f.HasAvailableFlags() {
		title := "Options"
		if !c.HasParent() {
			title = "Global Options"
		}
		fmt.Fprintf(w, "\n%s:\n%s", title, f.FlagUsagesWrapped(80))
	}
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(w, "\nRun '%s COMMAND --help' for more information on a command.\n", c.CommandPath())
	}
}

func commands(c *cobra.Command, group, title string) {
	w := c.OutOrStdout()
	first := true
	for _, s := range c.Commands() {
		if !s.IsAvailableCommand() || s.GroupID != group {
			continue
		}
		if first {
			fmt.Fprintf(w, "\n%s:\n", title)
			first = false
		}
		fmt.Fprintf(w, "  %-*s %s\n", c.NamePadding()+1, s.Name(), s.Short)
	}
}

// atLeast wants n words, as docker says it.
func atLeast(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) >= n {
			return nil
		}
		return wrongCount(c, fmt.Sprintf("requires at least %d argument%s", n, plural(n)))
	}
}

// exactly wants n words.
func exactly(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) == n:
			return nil
		case n == 0:
			return wrongCount(c, "accepts no arguments")
		}
		return wrongCount(c, fmt.Sprintf("requires exactly %d argument%s", n, plural(n)))
	}
}

// between wants at least low and at most high words.
func between(low, high int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) >= low && len(args) <= high:
			return nil
		case low == 0:
			return wrongCount(c, fmt.Sprintf("requires at most %d argument%s", high, plural(high)))
		}
		return wrongCount(c, fmt.Sprintf("requires at least %d and at most %d arguments", low, high))
	}
}

func wrongCount(c *cobra.Command, what string) error {
	return exit{1, fmt.Errorf("'%s' %s\n\nUsage:  %s\n\nSee '%s --help' for more information",
		c.CommandPath(), what, useLine(c), c.CommandPath())}
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

// Emptycobra is the least that a cobra program can be: the yardstick for
// `berth --version`.
package main

import "github.com/spf13/cobra"

func main() {
	cmd := &cobra.Command{Use: "empty", Version: "0", Run: func(*cobra.Command, []string) {}}
	if cmd.Execute() != nil {
		panic("cobra refuses its own flag")
	}
}

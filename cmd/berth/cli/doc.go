// Package cli is the command line of berth: docker's words, one file per
// command.
//
//	argv ──cobra──► command ──request──► engine verb ──format──► text
//	                   │                      │
//	              usage error 125        fault class ─► exit code (exit.go)
//
// Main runs a command line, New gives the tree of commands to programs that
// write manuals. No command does work of its own: it reads flags, calls one
// verb of package engine, and prints.
package cli

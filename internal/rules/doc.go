// Package rules holds tests about the source tree itself, and nothing else.
//
//	imports_test.go  imports go down the floors of docs/architecture.md
//	source_test.go   package docs; unsafe, linkname and os/exec only where listed;
//	                 no notes to self in the code
//	docs_test.go     every dependency is explained; links in docs/ lead somewhere
//
// A rule that is in the way is changed here, in the open, with its reason.
package rules

// Package e2e runs berth as a user does: built binaries, real images, the
// real kernel. There is one file for each thing that was promised.
//
//	look_test.go     make run shows a container
//	debian_test.go   a Debian made and pushed by others is pulled and used
//	explain_test.go  berth explain prints what strace sees
//	death_test.go    client and monitor may be killed
//	left_test.go     nothing is left, whatever fails
//	bad_test.go      bad input gets one line and the right exit code
//	docs_test.go     the documents that there should be
//
// Every test has an engine of its own (directories, names) and checks with
// the ledger that nothing of it stays.
package e2e

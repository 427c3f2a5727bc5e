// Package unprivileged runs the tests of all packages once more, as a user
// without any rights: what needs no root has to pass, and the rest has to say
// that it needs it.
//
//	go test -exec wrapper ./...
//	    └─ wrapper TEST-BINARY …   copies it to where nobody may read it,
//	                               and runs it there as nobody (setpriv)
package unprivileged

// Package request turns the flags of run, create and explain into a
// container.Request.
//
//	argv ──pflag──► Flags ──Request──► container.Request
//	                  │
//	                  └─ env files, label files, seccomp profiles, the client's
//	                     environment and directory, read through Client
//
// It knows the grammar of docker's flags and nothing else: whether a value
// makes sense on this machine is decided by bundle and engine, so that an API
// body is judged in the same way.
package request

import "os"

// Client is what of the caller's surroundings flags refer to.
type Client struct {
	LookupEnv func(string) (string, bool)
	ReadFile  func(string) ([]byte, error)
	Getwd     func() (string, error)
}

// Here is this process's own Client.
func Here() Client {
	return Client{LookupEnv: os.LookupEnv, ReadFile: readBounded, Getwd: os.Getwd}
}

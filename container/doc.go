// Package container keeps the records of containers.
//
//	record (config.json)  written once        Container, Request
//	status (status.json)  written by monitor  Status, ExitStatus
//
// A container is a directory; its name is an entry in a second directory, so
// a name is taken by the file system and not by a list in memory. The package
// knows states and their transitions and finds containers by id, name or id
// prefix. It starts nothing.
package container

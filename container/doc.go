// Package container keeps the records of containers, and reads the words in
// which people ask for them.
//
//	record (config.json)  written once        Container, Request
//	status (status.json)  written by monitor  Status, ExitStatus
//
//	Open ─► Store ─┬─ Create, Rename, Update, Remove
//	               ├─ Find: full id, name, prefix      List, Statuses
//	               └─ Dir, StatusFile ─► ReadStatus ─► Alive
//	Next(State, Event) ─► State        ParseVolume("/a:/b:ro") ─► Mount, …
//
// A container is a directory; its name is an entry in a second directory, so
// a name is taken by the file system and not by a list in memory. The package
// knows states and their transitions and finds containers by id, name or id
// prefix. The Parse functions turn one flag into one typed value of a Request,
// with docker's error texts, and refuse what they do not know. The package
// starts nothing, and decides no default: that is what bundle is for.
package container

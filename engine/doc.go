// Package engine is what a user can ask for, without the words of any door.
//
//	cmd/berth ─┐               ┌─ image     names -> images
//	api/docker ┼─► Engine ─────┼─ snapshot  copy-on-write trees
//	api/cri   ─┘   Containers  ├─ container records, bundles
//	               Images      └─ monitor   one process per container
//	               System
//
// Open is cheap: a room is opened when a verb first needs it. There is one
// file per verb, and one request struct where a verb needs more than a name.
// Names are looked up as docker does: full id, full name, unique prefix of an
// id. Errors are of the classes of package fault.
//
// Nothing here lives longer than a call: what a container needs between two
// calls is done by its monitor, and every call first looks whether that
// monitor still lives, so that no answer shows a dead payload as running.
package engine

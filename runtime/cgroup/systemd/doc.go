// Package systemd asks the service manager to make, change and stop units.
//
//	Dial ──► Conn ──StartScope──► a group with processes in it, which systemd knows
//	          │  ──SetProperties─► its limits
//	          └──────Stop────────► gone
//
// It is a D-Bus client for six calls and one signal, on a socket of its own;
// the bus is not used for anything else. systemd(1) answers on a private
// socket to its own user, and through the bus to others; both speak the same:
//
//	us ─ \0 AUTH EXTERNAL, DATA, BEGIN ────────► who we are, the kernel says
//	   ◄─────────────────────────── DATA, OK ──
//	us ─ StartTransientUnit(name, properties) ─►
//	   ◄───────────────────────── job's path ──
//	   ◄──── signal JobRemoved(job, "done") ───   now it is there
//
// The package knows nothing of control groups or limits.
package systemd

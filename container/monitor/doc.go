// Package monitor starts, finds and talks to the one process that stands
// beside every running container.
//
//	berth run ──Spawn──► berth-oci monitor BUNDLE ──fork──► payload
//	    │                     │ status.json, container.log
//	    └──────── Conn ───────┘ fd 3 (socketpair), then RUNDIR/ctl.sock
//	berth logs/attach/stop ──Dial or Ensure──┘
//
// To run a container: Spawn, then Conn.Start (which attaches before the first
// byte of output), then Conn.Wait or Conn.Reap. Every other command uses
// Ensure, which finds the living monitor, or starts one that adopts a payload
// whose monitor was killed, or reports that nothing runs. Await is Wait that
// outlives the monitor's death. With --rm one of those who Reap removes the
// container in the end, unless somebody said Keep, who starts it again.
//
// A Conn may be used by many goroutines. All of its methods end when their
// context ends. There is no daemon: what a client sees is what the monitor of
// that one container says, and status.json when there is none.
package monitor

// Package bundle turns a request and an image's configuration into an OCI
// runtime specification.
//
//	Request ─┐
//	Image ───┼──► Spec ──► *specs.Spec        values in, values out
//	Host ────┘
//
// Here live docker's defaults: which capabilities, mounts, masks, devices and
// limits a container has when nobody says otherwise (defaults.go), and how the
// words of the user and of the image are merged. Call Spec; the engine also
// needs Command, Hostname, Capabilities and UserSpec before it can fill Host.
//
// The package is pure: whatever must be looked up on the machine (a user's
// number, a device's number, what the kernel can do) is a field of Host. It
// writes no file; the engine stores what Spec returns.
package bundle

// Package shape gives berth's records the shape of docker's inspect, so that
// scripts and templates written for it find their fields.
//
//	engine.Details ──Container──► ContainerView ──json──► what scripts read
//	image.Image    ──Image──────► ImageView
//
// It only renames: nothing is looked up or decided here.
package shape

import "time"

// stamp is a time as docker prints it; the zero time is year 1.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

package engine

import (
	"fmt"
	"time"

	"github.com/docker/go-units"

	"github.com/berth-engine/berth/container"
)

// StatusText is the STATUS column of ps: "Up 3 minutes", "Exited (0) 2 hours
// ago".
func StatusText(s container.Status, now time.Time) string {
	ago := func(t time.Time) string { return units.HumanDuration(max(now.Sub(t), 0)) }
	switch s.State {
	case container.Running:
		return "Up " + ago(s.StartedAt)
	case container.Paused:
		return "Up " + ago(s.StartedAt) + " (Paused)"
	case container.Restarting:
		return fmt.Sprintf("Restarting (%d) %s ago", exitCode(s), ago(s.FinishedAt))
	case container.Removing:
		return "Removal In Progress"
	case container.Dead:
		return "Dead"
	case container.Exited:
		if s.FinishedAt.IsZero() {
			return fmt.Sprintf("Exited (%d)", exitCode(s))
		}
		return fmt.Sprintf("Exited (%d) %s ago", exitCode(s), ago(s.FinishedAt))
	}
	return "Created"
}

func exitCode(s container.Status) int {
	if s.Exit == nil {
		return 0
	}
	return s.Exit.Code
}

package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/berth-engine/berth/engine"
	"github.com/berth-engine/berth/internal/fault"
)

func newLogs(a *app) *cobra.Command {
	var follow, stamps, details bool
	var tail, since, until string
	c := &cobra.Command{
		Use:     "logs [OPTIONS] CONTAINER",
		Short:   "Fetch the logs of a container",
		Example: "  berth logs -f --tail 20 web\n  berth logs --since 10m -t web",
		Args:    exactly(1),
		RunE: func(_ *cobra.Command, args []string) error {
			now := time.Now()
			r := engine.LogsRequest{Name: args[0], Follow: follow, Timestamps: stamps, Details: details, Tail: -1}
			var err error
			if r.Since, err = moment(since, now); err != nil {
				return fmt.Errorf("invalid value for \"since\": %w", err)
			}
			if r.Until, err = moment(until, now); err != nil {
				return fmt.Errorf("invalid value for \"until\": %w", err)
			}
			if tail != "all" && tail != "" {
				// docker takes a number it cannot read, or a negative one, as all
				if n, err := strconv.Atoi(tail); err == nil && n >= 0 {
					r.Tail = n
				}
			}
			e, err := a.engine()
			if err != nil {
				return err
			}
			return notFound(e.Containers.Logs(a.ctx, r, a.Out, a.Err), "container", args[0])
		},
	}
	f := c.Flags()
	f.BoolVarP(&follow, "follow", "f", false, "Follow log output")
	f.StringVarP(&tail, "tail", "n", "all", "Number of lines to show from the end of the logs")
	f.StringVar(&since, "since", "", `Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)`)
	f.StringVar(&until, "until", "", `Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)`)
	f.BoolVarP(&stamps, "timestamps", "t", false, "Show timestamps")
	f.BoolVar(&details, "details", false, "Show extra details provided to logs")
	return c
}

// moment reads a point in time: RFC 3339 with or without its tail, seconds
// since 1970 with up to nine decimals, or a span before now. "" is none.
func moment(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04Z07:00", "2006-01-02T15:04",
		"2006-01-02T15Z07:00", "2006-01-02T15", "2006-01-02Z07:00", "2006-01-02",
	} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	return unixMoment(s)
}

func unixMoment(s string) (time.Time, error) {
	bad := fault.New(fault.Invalid, "%q is no time: write 2006-01-02T15:04:05Z, seconds since 1970, or a span such as 10m", s)
	whole, frac, _ := strings.Cut(s, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || len(frac) > 9 {
		return time.Time{}, bad
	}
	nsec := int64(0)
	if frac != "" {
		if nsec, err = strconv.ParseInt(frac+strings.Repeat("0", 9-len(frac)), 10, 64); err != nil || nsec < 0 {
			return time.Time{}, bad
		}
	}
	return time.Unix(sec, nsec), nil
}

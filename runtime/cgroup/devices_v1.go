package cgroup

import (
	"slices"
	"strings"

	"github.com/berth-engine/berth/internal/fault"
)

// replaceDevices stands for "deny everything" in a group that has groups
// below it: there the kernel refuses the word, so every exception that the new
// list does not have is taken back by name.
func replaceDevices(d *dir, files []File) error {
	list, err := d.read("devices.list")
	if err != nil {
		return err
	}
	var keep []string
	for _, f := range files {
		if f.Name == "devices.allow" {
			keep = append(keep, f.Text)
		}
	}
	for line := range strings.Lines(list) {
		rule := strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(rule, "a ") || slices.Contains(keep, "a") {
			return fault.New(fault.Conflict, "device rules cannot change between all and some while the container has groups of its own")
		}
		if slices.Contains(keep, rule) {
			continue
		}
		if err := d.write("devices.deny", rule); err != nil {
			return fault.Op("deny", rule, err)
		}
	}
	return nil
}

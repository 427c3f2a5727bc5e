package cgroup

import (
	"strings"

	"github.com/berth-engine/berth/internal/mount"
)

// membership is a line of /proc/self/cgroup: "4:cpu,cpuacct:/a/b".
type membership struct {
	controllers []string
	unified     bool
	path        string
}

// cgroupMount is a line of /proc/self/mountinfo for a cgroup file system.
type cgroupMount struct {
	unified     bool
	root, point string
	options     []string // of the superblock: controllers and name=
	readOnly    bool
}

// parseMembership reads /proc/self/cgroup, cgroups(7). Lines that make no
// sense are skipped: what is not understood is not used.
func parseMembership(text string) []membership {
	var out []membership
	for line := range strings.Lines(text) {
		id, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		list, path, ok := strings.Cut(rest, ":")
		if !ok || !strings.HasPrefix(path, "/") {
			continue
		}
		path = strings.TrimSuffix(path, " (deleted)")
		switch {
		case id == "0" && list == "":
			out = append(out, membership{unified: true, path: path})
		case list != "":
			out = append(out, membership{controllers: strings.Split(list, ","), path: path})
		}
	}
	return out
}

// parseMounts picks the cgroup mounts out of mountinfo, proc_pid_mountinfo(5):
//
//	36 31 0:33 / /sys/fs/cgroup/devices rw,relatime shared:5 - cgroup cgroup rw,devices
//	           root point               options     tags…    - type   source super
//
// A mount point that was mounted over counts with its last mount only.
func parseMounts(text string) []cgroupMount {
	var out []cgroupMount
	for line := range strings.Lines(text) {
		head, tail, ok := strings.Cut(line, " - cgroup")
		if !ok {
			continue
		}
		unified := strings.HasPrefix(tail, "2 ")
		if !unified && !strings.HasPrefix(tail, " ") {
			continue
		}
		front, back := strings.Fields(head), strings.Fields(tail)
		if len(front) < 6 || len(back) < 2 {
			continue
		}
		m := cgroupMount{
			unified: unified,
			root:    mount.Unescape(front[3]),
			point:   mount.Unescape(front[4]),
			options: strings.Split(back[len(back)-1], ","),
		}
		m.readOnly = strings.HasPrefix(front[5]+",", "ro,") || m.options[0] == "ro"
		if !strings.HasPrefix(m.root, "/") || !strings.HasPrefix(m.point, "/") {
			continue
		}
		for i := range out {
			if out[i].point == m.point {
				out = append(out[:i], out[i+1:]...)
				break
			}
		}
		out = append(out, m)
	}
	return out
}

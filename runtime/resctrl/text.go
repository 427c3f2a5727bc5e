package resctrl

import (
	"os"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/mount"
)

// Mounted says where resctrl is mounted; empty if nowhere.
func Mounted() (string, error) {
	info, err := os.ReadFile("/proc/self/mountinfo")
	return Find(string(info)), err
}

// Find reads mountinfo, proc_pid_mountinfo(5), and says where resctrl is
// mounted; empty if nowhere.
func Find(mountinfo string) string {
	for _, p := range mount.Points(mountinfo) {
		if p.Kind == "resctrl" && strings.HasPrefix(p.Path, "/") {
			return p.Path
		}
	}
	return ""
}

// Check finds what no kernel would take.
func Check(want *specs.LinuxIntelRdt) error {
	if id := want.ClosID; id != "" && id != "/" && (strings.ContainsAny(id, "/\n\x00") || reserved(id)) {
		return fault.New(fault.Invalid, "linux.intelRdt.closID: %q is no name of a group: give a plain name, or / for the group of everybody", id)
	}
	if mb := want.MemBwSchema; mb != "" && !strings.HasPrefix(mb, "MB:") {
		return fault.New(fault.Invalid, "linux.intelRdt.memBwSchema: %q does not start with MB:", mb)
	}
	for i, l := range want.Schemata {
		if strings.TrimSpace(l) == "" {
			return fault.New(fault.Invalid, "linux.intelRdt.schemata[%d]: is empty", i)
		}
	}
	for _, l := range Lines(want) {
		if strings.ContainsAny(l.Text, "\n\x00") {
			return fault.New(fault.Invalid, "%s: %q has a line break", l.Field, l.Text)
		}
	}
	return nil
}

// reserved are the names that have a meaning in the file system.
func reserved(name string) bool {
	switch name {
	case ".", "..", "info", "mon_groups", "mon_data":
		return true
	}
	return false
}

// holds says whether what a line asks for stands in the text of schemata:
//
//	L3:0=fffff;1=ff
//	MB:0=100;1=100
func holds(schemata, line string) bool {
	resource, domains := parse(line)
	for have := range strings.Lines(schemata) {
		r, there := parse(have)
		if r != resource {
			continue
		}
		for d, v := range domains {
			if there[d] != v {
				return false
			}
		}
		return len(domains) > 0
	}
	return false
}

// parse splits a line of schemata; numbers lose their leading zeros.
func parse(line string) (resource string, domains map[string]string) {
	resource, list, _ := strings.Cut(line, ":")
	domains = map[string]string{}
	for _, token := range strings.Split(list, ";") {
		d, v, ok := strings.Cut(token, "=")
		if !ok {
			continue
		}
		v = strings.ToLower(strings.TrimSpace(v))
		if n, err := strconv.ParseUint(strings.TrimPrefix(v, "0x"), 16, 64); err == nil {
			v = strconv.FormatUint(n, 16)
		}
		domains[strings.TrimSpace(d)] = v
	}
	return strings.TrimSpace(resource), domains
}

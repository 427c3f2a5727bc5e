package container

import (
	"path"
	"strconv"
	"strings"

	"github.com/berth-engine/berth/internal/fault"
)

// ParseDevice reads one --device: host[:container][:permissions].
func ParseDevice(s string) (Device, error) {
	parts := strings.Split(s, ":")
	d := Device{Perms: "rwm"}
	switch len(parts) {
	case 1:
		d.Host, d.Container = parts[0], parts[0]
	case 2:
		d.Host, d.Container = parts[0], parts[1]
		if CheckDevicePerms(parts[1]) == nil {
			d.Container, d.Perms = parts[0], parts[1]
		}
	case 3:
		d.Host, d.Container, d.Perms = parts[0], parts[1], parts[2]
	default:
		return Device{}, invalid("invalid device specification: %s", printable(s))
	}
	if !path.IsAbs(d.Host) && strings.Contains(d.Host, "=") {
		return Device{}, fault.New(fault.Unsupported, "device %s: CDI devices are not in this build", printable(d.Host))
	}
	for _, p := range []string{d.Host, d.Container} {
		if p == "" {
			return Device{}, invalid("bad format for path: %s", printable(s))
		}
		if !path.IsAbs(p) {
			return Device{}, invalid("%s is not an absolute path", printable(p))
		}
	}
	d.Host, d.Container = path.Clean(d.Host), path.Clean(d.Container)
	if err := CheckDevicePerms(d.Perms); err != nil {
		return Device{}, err
	}
	return d, checkNUL(s)
}

// CheckDevicePerms accepts one to three different letters of "rwm".
func CheckDevicePerms(s string) error {
	for i, c := range s {
		if !strings.ContainsRune("rwm", c) || strings.ContainsRune(s[:i], c) {
			return invalid("bad mode specified: %s", printable(s))
		}
	}
	if s == "" {
		return invalid("bad mode specified: it is empty")
	}
	return nil
}

// DeviceRule is one --device-cgroup-rule; -1 is any number.
type DeviceRule struct {
	Type         string // a, b or c
	Major, Minor int64
	Access       string
}

// ParseDeviceRule reads "c 1:3 rwm"; "a" alone is everything.
func ParseDeviceRule(s string) (DeviceRule, error) {
	bad := invalid("invalid device cgroup format '%s'", printable(s))
	if s == "a" {
		return DeviceRule{"a", -1, -1, "rwm"}, nil
	}
	f := strings.Split(s, " ")
	if len(f) != 3 || (f[0] != "a" && f[0] != "b" && f[0] != "c") || CheckDevicePerms(f[2]) != nil {
		return DeviceRule{}, bad
	}
	major, minor, ok := strings.Cut(f[1], ":")
	a, ok1 := deviceNumber(major, 12)
	b, ok2 := deviceNumber(minor, 20)
	if !ok || !ok1 || !ok2 {
		return DeviceRule{}, bad
	}
	return DeviceRule{f[0], a, b, f[2]}, nil
}

// deviceNumber: Linux has 12 bits of major and 20 of minor number.
func deviceNumber(s string, bits int) (int64, bool) {
	if s == "*" {
		return -1, true
	}
	n, err := strconv.ParseUint(s, 10, bits)
	return int64(n), err == nil && s[0] != '+'
}

package cgroup

import (
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/internal/fault"
)

// File is one text to be written to one file of a group.
type File struct {
	Controller string // "memory"
	Name       string // "memory.limit_in_bytes"
	Text       string
	Field      string // of linux.resources, for errors: "memory.limit"
	Optional   bool   // where the file is missing the limit holds anyway
	Alt        *File  // written where Name is missing: another name for the same limit
}

// Files compiles limits to the files that Create will write, in that order.
// v is V1 or V2. Device rules are files on v1 (the list that DeviceRules
// gives); on v2 they are a program and not in the list. Values that no kernel
// takes are errors that name the field.
func Files(r *specs.LinuxResources, v Version) ([]File, error) {
	if v != V1 && v != V2 {
		return nil, fault.New(fault.Invalid, "files of a %s layout: say v1 or v2", v)
	}
	return compile(r, func(section) Version { return v })
}

// section compiles the part of the resources that belongs to one controller.
type section struct {
	v1, v2 string // the controller's names; empty where it does not exist
	asV1   func(*compiler)
	asV2   func(*compiler)
}

// sections are in writing order: what confines first.
func sections() []section {
	return []section{
		{v1: "", v2: "", asV1: refuseUnified, asV2: unified},
		{v1: "devices", asV1: devicesV1},
		{v1: "cpuset", v2: "cpuset", asV1: cpuset, asV2: cpuset},
		{v1: "cpu", v2: "cpu", asV1: cpuV1, asV2: cpuV2},
		{v1: "memory", v2: "memory", asV1: memoryV1, asV2: memoryV2},
		{v1: "pids", v2: "pids", asV1: pids, asV2: pids},
		{v1: "blkio", v2: "io", asV1: blkioV1, asV2: ioV2},
		{v1: "hugetlb", v2: "hugetlb", asV1: hugetlbV1, asV2: hugetlbV2},
		{v1: "net_cls", asV1: netClass, asV2: refuseNetwork},
		{v1: "net_prio", asV1: netPrio},
		{v1: "rdma", v2: "rdma", asV1: rdma, asV2: rdma},
	}
}

// compile runs every section as the version that has its controller.
func compile(r *specs.LinuxResources, version func(section) Version) ([]File, error) {
	if r == nil {
		r = &specs.LinuxResources{}
	}
	c := &compiler{r: r}
	for _, s := range sections() {
		switch v := version(s); {
		case v == V1 && s.asV1 != nil:
			c.controller = s.v1
			s.asV1(c)
		case v == V2 && s.asV2 != nil:
			c.controller = s.v2
			s.asV2(c)
		}
		if c.err != nil {
			return nil, c.err
		}
	}
	return c.files, nil
}

// compiler collects files; the first error stays.
type compiler struct {
	r          *specs.LinuxResources
	controller string
	files      []File
	err        error
}

func (c *compiler) put(name, field, text string) *File {
	c.files = append(c.files, File{Controller: c.controller, Name: name, Text: text, Field: field})
	return &c.files[len(c.files)-1]
}

func (c *compiler) fail(field, format string, args ...any) {
	if c.err == nil {
		c.err = fault.Op("linux.resources."+field, "", fault.New(fault.Invalid, format, args...))
	}
}

// bytes writes a size in bytes; -1 becomes the word for unlimited.
func (c *compiler) bytes(name, field string, v int64, unlimited string) *File {
	if v < -1 {
		c.fail(field, "%d: give a number of bytes, or -1 for unlimited", v)
	}
	if v == -1 {
		return c.put(name, field, unlimited)
	}
	return c.put(name, field, strconv.FormatInt(v, 10))
}

// element is how a message names one of a list: "devices[3]".
func element(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }

func unsigned(v uint64) string { return strconv.FormatUint(v, 10) }
func signed(v int64) string    { return strconv.FormatInt(v, 10) }

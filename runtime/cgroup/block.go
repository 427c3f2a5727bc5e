package cgroup

import (
	"math"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// blkioV1: the weight's file is blkio.weight with the schedulers of old
// kernels and blkio.bfq.weight since 5.0.
func blkioV1(c *compiler) {
	b := c.r.BlockIO
	if b == nil {
		return
	}
	if w := weightOf(b.Weight); w != 0 {
		c.either("blkio.weight", "blkio.bfq.weight", "blockIO.weight", c.weight("blockIO.weight", w))
	}
	if w := weightOf(b.LeafWeight); w != 0 {
		c.put("blkio.leaf_weight", "blockIO.leafWeight", c.weight("blockIO.leafWeight", w))
	}
	for i, d := range b.WeightDevice {
		field := element("blockIO.weightDevice", i)
		dev := c.device(field, d.LinuxBlockIODevice)
		if w := weightOf(d.Weight); w != 0 {
			c.either("blkio.weight_device", "blkio.bfq.weight_device", field+".weight", dev+" "+c.weight(field+".weight", w))
		}
		if w := weightOf(d.LeafWeight); w != 0 {
			c.put("blkio.leaf_weight_device", field+".leafWeight", dev+" "+c.weight(field+".leafWeight", w))
		}
	}
	c.throttle(func(t throttle, dev string, rate uint64) {
		c.put(t.v1, t.field, dev+" "+unsigned(rate)) // 0 takes the limit away
	})
}

// ioV2: io.bfq.weight takes the number as it is, io.weight has another scale
// (1-10000) and only where the io.cost controller is built in.
func ioV2(c *compiler) {
	b := c.r.BlockIO
	if b == nil {
		return
	}
	if w := weightOf(b.Weight); w != 0 {
		c.ioWeight("blockIO.weight", "", w)
	}
	if weightOf(b.LeafWeight) != 0 {
		c.fail("blockIO.leafWeight", "cgroup v2 has no leaf weight")
	}
	for i, d := range b.WeightDevice {
		field := element("blockIO.weightDevice", i)
		dev := c.device(field, d.LinuxBlockIODevice)
		if w := weightOf(d.Weight); w != 0 {
			c.ioWeight(field+".weight", dev+" ", w)
		}
		if weightOf(d.LeafWeight) != 0 {
			c.fail(field+".leafWeight", "cgroup v2 has no leaf weight")
		}
	}
	c.throttle(func(t throttle, dev string, rate uint64) {
		text := "max"
		if rate != 0 {
			text = unsigned(rate)
		}
		c.put("io.max", t.field, dev+" "+t.v2+"="+text)
	})
}

// throttle is one of the four rates.
type throttle struct {
	field, v1, v2 string
	list          []specs.LinuxThrottleDevice
}

func (c *compiler) throttle(put func(t throttle, dev string, rate uint64)) {
	b := c.r.BlockIO
	for _, t := range []throttle{
		{"blockIO.throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps", b.ThrottleReadBpsDevice},
		{"blockIO.throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps", b.ThrottleWriteBpsDevice},
		{"blockIO.throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops", b.ThrottleReadIOPSDevice},
		{"blockIO.throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops", b.ThrottleWriteIOPSDevice},
	} {
		for i, d := range t.list {
			at := t
			at.field = element(t.field, i)
			put(at, c.device(at.field, d.LinuxBlockIODevice), d.Rate)
		}
	}
}

// ioWeight puts a weight for dev, or without one for all devices.
func (c *compiler) ioWeight(field, dev string, w uint16) {
	f := c.put("io.bfq.weight", field, dev+c.weight(field, w))
	f.Alt = &File{Controller: f.Controller, Name: "io.weight", Field: field, Text: dev + unsigned(1+(uint64(w)-10)*9999/990)}
}

// either puts a file and the same under its other name.
func (c *compiler) either(name, alt, field, text string) {
	f := c.put(name, field, text)
	f.Alt = &File{Controller: f.Controller, Name: alt, Text: text, Field: field}
}

func (c *compiler) weight(field string, w uint16) string {
	if w < 10 || w > 1000 {
		c.fail(field, "%d: the valid range is 10-1000", w)
	}
	return unsigned(uint64(w))
}

func (c *compiler) device(field string, d specs.LinuxBlockIODevice) string {
	for _, n := range [...]struct {
		name  string
		value int64
	}{{".major", d.Major}, {".minor", d.Minor}} {
		if n.value < 0 || n.value > math.MaxUint32 {
			c.fail(field+n.name, "%d: give the number of a device", n.value)
		}
	}
	return signed(d.Major) + ":" + signed(d.Minor)
}

func weightOf(p *uint16) uint16 {
	if p == nil {
		return 0
	}
	return *p
}

package image

import (
	"github.com/berth-engine/berth/internal/fault"
)

// Tag gives the image src the further name dst. An image that had that name
// loses it.
func (s *Store) Tag(src, dst string) error {
	if src == HostName {
		return fault.New(fault.Invalid, "image host has no other names: it is this machine itself")
	}
	name, err := parseTag(dst)
	if err != nil {
		return err
	}
	return s.locked(func() error {
		t, err := s.readTable()
		if err != nil {
			return err
		}
		id, err := t.find(src)
		if err != nil {
			return err
		}
		t.give(name.String(), id)
		if err := s.reached("table"); err != nil {
			return err
		}
		return s.writeTable(t)
	})
}

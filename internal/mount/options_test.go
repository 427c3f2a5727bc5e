package mount

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestParseFlags(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   []string
		want Flags
	}{
		{"none", nil, Flags{}},
		{"later wins", []string{"ro", "rw"}, Flags{Clear: unix.MOUNT_ATTR_RDONLY, Named: true}},
		{"earlier loses", []string{"rw", "ro"}, Flags{Set: unix.MOUNT_ATTR_RDONLY, Named: true}},
		{"atime is one choice", []string{"noatime", "strictatime"}, Flags{Set: unix.MOUNT_ATTR_STRICTATIME, Clear: unix.MOUNT_ATTR__ATIME, Named: true}},
		{"bind", []string{"rbind", "rslave"}, Flags{Bind: true, Recursive: true, Propagation: unix.MS_SLAVE, PropagationRec: true}},
		{"recursive attributes", []string{"rro", "rnosuid"}, Flags{RecSet: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID}},
		{"map", []string{"ridmap=uids=0-1-2"}, Flags{IDMap: true, IDMapRec: true}},
		{"data", []string{"mode=755", "size=1k", "sync"}, Flags{Data: []string{"mode=755", "size=1k"}, Super: []string{"sync"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, ParseFlags(tt.in)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

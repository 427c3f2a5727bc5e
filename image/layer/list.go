package layer

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/under"
)

// list returns the sorted names in the directory fd, which stays open and
// where it was.
func list(fd int) ([]string, error) {
	again, err := under.OpenAt(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0, under.Beneath)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(again), "directory")
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

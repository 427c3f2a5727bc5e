package engine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// A container's processes may be any user's, so what is made for them is for
// everybody to read, whatever the umask of who typed the command.

// writePublic writes a file that everybody may read.
func writePublic(path string, text []byte) error {
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return err
	}
	return os.Chmod(path, 0o644)
}

// makePublic makes dir and its missing parents for everybody to enter. What is
// there already stays as it is.
func makePublic(dir string) error {
	err := os.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makePublic(filepath.Dir(dir)); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o755)
	}
	if errors.Is(err, fs.ErrExist) {
		st, err := os.Stat(dir)
		if err == nil && !st.IsDir() {
			return &os.PathError{Op: "mkdir", Path: dir, Err: fs.ErrExist}
		}
		return err
	}
	if err != nil {
		return err
	}
	return os.Chmod(dir, 0o755)
}

package server

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// stdio is the monitor's side of a payload's standard streams.
//
//	stdin   payload O_RDONLY, monitor O_WRONLY: closing it is the end of input
//	stdout  payload O_RDWR,   monitor O_RDONLY: the payload is a reader of its
//	stderr  payload O_RDWR,   monitor O_RDONLY  own pipe, so that it gets no
//	                                            SIGPIPE when the monitor dies
//
// They are FIFOs in the run directory: an adopter finds them there. The
// directory is for root only; the FIFOs themselves can be opened by any user
// of the container, because programs open /dev/stdout anew.
type stdio struct {
	stdin, stdout, stderr *os.File
}

var fifos = [3]string{"stdin", "stdout", "stderr"}

// makeStdio makes the FIFOs afresh and returns both sides.
func makeStdio(dir string, withStdin bool) (mine stdio, theirs [3]*os.File, err error) {
	defer func() {
		if err != nil {
			mine.close()
			closeFiles(theirs[:])
		}
	}()
	for i, name := range fifos {
		if i > 0 || withStdin {
			if err := makeFIFO(filepath.Join(dir, name)); err != nil {
				return mine, theirs, err
			}
		}
		if theirs[i], err = openTheirs(dir, i, withStdin); err != nil {
			return mine, theirs, err
		}
	}
	mine, err = openMine(dir, withStdin)
	return mine, theirs, err
}

func makeFIFO(path string) error {
	err := unix.Mkfifo(path, 0o600)
	if errors.Is(err, unix.EEXIST) { // of an earlier life
		if err = unix.Unlink(path); err == nil {
			err = unix.Mkfifo(path, 0o600)
		}
	}
	if err != nil {
		return &os.PathError{Op: "mkfifo", Path: path, Err: err}
	}
	return os.Chmod(path, 0o666) // whatever the umask
}

func openTheirs(dir string, i int, withStdin bool) (*os.File, error) {
	path, flags := filepath.Join(dir, fifos[i]), unix.O_RDWR
	if i == 0 {
		flags = unix.O_RDONLY
		if !withStdin {
			path = os.DevNull
		}
	}
	fd, err := unix.Open(path, flags|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err == nil {
		if err = unix.SetNonblock(fd, false); err != nil {
			unix.Close(fd)
		}
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// openMine opens the monitor's side; the payload's must be open.
func openMine(dir string, withStdin bool) (s stdio, err error) {
	files := [3]**os.File{&s.stdin, &s.stdout, &s.stderr}
	for i, f := range files {
		flags := unix.O_RDONLY
		if i == 0 {
			if !withStdin {
				continue
			}
			flags = unix.O_WRONLY
		}
		path := filepath.Join(dir, fifos[i])
		fd, err := unix.Open(path, flags|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if i == 0 && errors.Is(err, unix.ENXIO) {
			continue // an adopted payload has closed its stdin
		}
		if err != nil {
			s.close()
			return stdio{}, &os.PathError{Op: "open", Path: path, Err: err}
		}
		*f = os.NewFile(uintptr(fd), path)
	}
	return s, nil
}

func (s *stdio) close() { closeFiles([]*os.File{s.stdin, s.stdout, s.stderr}) }

func closeFiles(files []*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}

// removeFIFOs takes the names away; the directory is the engine's.
func removeFIFOs(dir string) {
	for _, name := range fifos {
		unlink(filepath.Join(dir, name))
	}
}

// unlink removes a file that may be gone already. os.Remove would try it as a
// directory, too.
func unlink(path string) { _ = unix.Unlink(path) }

package bundle

import (
	"slices"
	"strings"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/image/ocispec"
	"github.com/berth-engine/berth/internal/fault"
)

// Command merges ENTRYPOINT and CMD: words of the user replace the image's
// CMD, an entry point of the user also clears it. The first word is the
// program. img may be nil.
func Command(r *container.Request, img *ocispec.Image) ([]string, error) {
	var entry, cmd []string
	if img != nil {
		entry, cmd = img.Config.Entrypoint, img.Config.Cmd
	}
	if r.Entrypoint != nil {
		entry, cmd = r.Entrypoint, nil
		if slices.Equal(entry, []string{""}) { // --entrypoint ""
			entry = nil
		}
	}
	if len(r.Args) > 0 {
		cmd = r.Args
	}
	args := slices.Concat(entry, cmd)
	if len(args) == 0 {
		return nil, fault.New(fault.Invalid, "no command specified")
	}
	return args, nil
}

// UserSpec is the user that the container runs as, in words: the request's or
// the image's. img may be nil.
func UserSpec(r *container.Request, img *ocispec.Image) string {
	if r.User != "" || img == nil {
		return r.User
	}
	return img.Config.User
}

// StopSignal is the signal that asks the payload to end: the request's, the
// image's, or SIGTERM. What an image says is not trusted to be a signal.
func StopSignal(r *container.Request, img *ocispec.Image) (int, error) {
	name := r.StopSignal
	if name == "" && img != nil {
		name = img.Config.StopSignal
	}
	if name == "" {
		name = "SIGTERM"
	}
	return container.ParseSignal(name)
}

// environment is, in docker's order too: the defaults, the user's words, the
// image's that the user did not set, HOME.
func environment(r *container.Request, img *ocispec.Image, h Host) ([]string, error) {
	host, err := Hostname(r, h)
	if err != nil {
		return nil, err
	}
	env := envList{}
	env.set("PATH=" + defaultPath)
	env.set("HOSTNAME=" + host)
	if r.TTY {
		env.set("TERM=xterm")
	}
	user := map[string]bool{}
	for _, kv := range r.Env {
		key, _, ok := strings.Cut(kv, "=")
		if key == "" {
			return nil, fault.New(fault.Invalid, "invalid environment variable: %s", kv)
		}
		user[key] = true
		if ok {
			env.set(kv)
		} else { // "-e K" of a K that the client does not have
			env.drop(key)
		}
	}
	for _, kv := range img.Config.Env {
		if key, _, ok := strings.Cut(kv, "="); ok && key != "" && !user[key] {
			env.set(kv)
		}
	}
	if env.index("HOME") < 0 {
		home := h.User.Home
		if home == "" {
			home = "/"
		}
		env.set("HOME=" + home)
	}
	return env, nil
}

// envList keeps the place of the first and the value of the last setting.
type envList []string

func (e *envList) set(kv string) {
	key, _, _ := strings.Cut(kv, "=")
	if i := e.index(key); i >= 0 {
		(*e)[i] = kv
		return
	}
	*e = append(*e, kv)
}

func (e *envList) drop(key string) {
	if i := e.index(key); i >= 0 {
		*e = slices.Delete(*e, i, i+1)
	}
}

func (e *envList) index(key string) int {
	return slices.IndexFunc(*e, func(kv string) bool { return strings.HasPrefix(kv, key+"=") })
}

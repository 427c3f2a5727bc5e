package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
)

// clientConfig is what berth reads of docker's config.json: how to print and
// how to leave. Credentials are berth-registry's business.
type clientConfig struct {
	DetachKeys   string `json:"detachKeys"`
	PsFormat     string `json:"psFormat"`
	ImagesFormat string `json:"imagesFormat"`
}

// clientConfig reads config.json of --config, DOCKER_CONFIG or ~/.docker. A
// missing or unreadable file is an empty one: it only holds preferences.
func (a *app) clientConfig() (c clientConfig) {
	dir := a.config
	if dir == "" {
		dir = os.Getenv("DOCKER_CONFIG")
	}
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return c
		}
		dir = filepath.Join(home, ".docker")
	}
	f, err := os.Open(filepath.Join(dir, "config.json"))
	if err != nil {
		return c
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() || st.Size() > 1<<20 {
		return c
	}
	if err := json.NewDecoder(f).Decode(&c); err != nil {
		return clientConfig{}
	}
	return c
}

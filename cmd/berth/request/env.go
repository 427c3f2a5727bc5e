package request

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/internal/fault"
)

// maxFile bounds a file named on the command line (env, label, seccomp), bytes.
const maxFile = 8 << 20

func readBounded(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxFile {
		return nil, fault.New(fault.TooLarge, "%s: larger than %d bytes", name, maxFile)
	}
	return b, nil
}

// Env merges --env-file and -e: files first, a later name replaces an earlier
// one in place.
func Env(files, vars []string, c Client) ([]string, error) {
	var all []string
	for _, name := range files {
		lines, err := lines("--env-file", name, c)
		if err != nil {
			return nil, err
		}
		all = append(all, lines...)
	}
	for _, v := range vars {
		kv, err := container.ParseEnv(v, c.LookupEnv)
		if err != nil {
			return nil, err
		}
		all = append(all, kv)
	}
	var out []string
	at := map[string]int{}
	for _, kv := range all {
		k, _, _ := strings.Cut(kv, "=")
		if i, dup := at[k]; dup {
			out[i] = kv
			continue
		}
		at[k] = len(out)
		out = append(out, kv)
	}
	return out, nil
}

// lines reads an env or label file.
func lines(flag, name string, c Client) ([]string, error) {
	data, err := c.ReadFile(name)
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = fmt.Errorf("open %s: %w", name, pe.Err)
		}
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	list, err := container.ParseEnvFile(bytes.NewReader(data), c.LookupEnv)
	return list, fault.Op(flag, name, err)
}

func labels(files, given []string, c Client) (map[string]string, error) {
	none := Client{LookupEnv: func(string) (string, bool) { return "", true }, ReadFile: c.ReadFile}
	var all []string
	for _, name := range files {
		lines, err := lines("--label-file", name, none)
		if err != nil {
			return nil, err
		}
		all = append(all, lines...)
	}
	return pairs("--label", append(all, given...))
}

// pairs reads k=v words; a word without "=" has an empty value.
func pairs(flag string, words []string) (map[string]string, error) {
	if len(words) == 0 {
		return nil, nil
	}
	m := make(map[string]string, len(words))
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		if k == "" {
			return nil, fmt.Errorf("%s: %s has no name before the =", flag, quoteShort(w))
		}
		m[k] = v
	}
	return m, nil
}

// quoteShort quotes at most 40 bytes of a user's word.
func quoteShort(s string) string {
	if len(s) > 40 {
		s = s[:40] + "…"
	}
	return fmt.Sprintf("%q", s)
}

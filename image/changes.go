package image

import (
	"encoding/json"
	"path"
	"strconv"
	"strings"

	"github.com/berth-engine/berth/internal/fault"
)

// applyChanges carries out Dockerfile lines, as --change of import and commit
// gives them, on a config.
func applyChanges(c *dockerConfigPart, lines []string) error {
	for _, line := range lines {
		if err := applyChange(c, line); err != nil {
			return fault.Op("change", strconv.Quote(clip(line)), err)
		}
	}
	return nil
}

func applyChange(c *dockerConfigPart, line string) error {
	word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	rest = strings.TrimSpace(rest)
	if strings.ContainsAny(line, "\n\r\x00") {
		return fault.New(fault.Invalid, "one instruction on one line, please")
	}
	word = strings.ToUpper(word)
	if rest == "" && word != "CMD" && word != "ENTRYPOINT" {
		return fault.New(fault.Invalid, "%s needs an argument", word)
	}
	switch word {
	case "CMD":
		return setCommand(&c.Cmd, rest)
	case "ENTRYPOINT":
		return setCommand(&c.Entrypoint, rest)
	case "ENV":
		return eachPair(rest, func(k, v string) error { c.Env = setEnv(c.Env, k, v); return nil })
	case "LABEL":
		return eachPair(rest, func(k, v string) error { put(&c.Labels, k, v); return nil })
	case "EXPOSE":
		return expose(c, rest)
	case "VOLUME":
		return eachVolume(rest, func(v string) { put(&c.Volumes, v, struct{}{}) })
	case "USER":
		c.User = rest
	case "WORKDIR":
		if !path.IsAbs(rest) {
			rest = path.Join("/", c.WorkingDir, rest)
		}
		c.WorkingDir = path.Clean(rest)
	case "ONBUILD":
		return onBuild(c, rest)
	default:
		return fault.New(fault.Invalid, "%s is not a valid change: use CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, USER, VOLUME or WORKDIR", clean(word))
	}
	return nil
}

func put[V any](m *map[string]V, k string, v V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[k] = v
}

// setCommand takes the JSON form as it is and gives the shell form to sh.
func setCommand(dst *[]string, s string) error {
	if s == "" {
		*dst = nil
		return nil
	}
	if list, ok := jsonList(s); ok {
		*dst = list
		return nil
	}
	*dst = []string{"/bin/sh", "-c", s}
	return nil
}

// jsonList reads ["a","b"]; what looks like it and is not is no list, as in a
// Dockerfile.
func jsonList(s string) ([]string, bool) {
	var list []string
	if !strings.HasPrefix(s, "[") || json.Unmarshal([]byte(s), &list) != nil {
		return nil, false
	}
	return list, true
}

func setEnv(env []string, k, v string) []string {
	for i, e := range env {
		if old, _, _ := strings.Cut(e, "="); old == k {
			env[i] = k + "=" + v
			return env
		}
	}
	return append(env, k+"="+v)
}

// eachPair reads k=v k2="v 2", or the old form "k all the rest".
func eachPair(s string, set func(k, v string) error) error {
	words, err := splitWords(s)
	if err != nil {
		return err
	}
	if !strings.Contains(words[0], "=") {
		k, v, ok := strings.Cut(s, " ")
		if !ok {
			return fault.New(fault.Invalid, "%q needs a value: key=value", clean(s))
		}
		return set(k, strings.TrimSpace(v))
	}
	for _, w := range words {
		k, v, ok := strings.Cut(w, "=")
		if !ok || k == "" {
			return fault.New(fault.Invalid, "%q is not key=value", clean(w))
		}
		if err := set(k, v); err != nil {
			return err
		}
	}
	return nil
}

// splitWords splits at spaces outside quotes and takes quotes and backslashes
// away. It returns at least one word.
func splitWords(s string) ([]string, error) {
	var words []string
	var now strings.Builder
	quote, open := byte(0), false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quote != '\'' && i+1 < len(s):
			i++
			now.WriteByte(s[i])
			open = true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, open = c, true
		case quote == 0 && (c == ' ' || c == '\t'):
			if open {
				words = append(words, now.String())
			}
			now.Reset()
			open = false
		default:
			now.WriteByte(c)
			open = true
		}
	}
	if quote != 0 {
		return nil, fault.New(fault.Invalid, "quote %c is never closed", quote)
	}
	if open || len(words) == 0 {
		words = append(words, now.String())
	}
	return words, nil
}

// maxExposed bounds the ports of one range before it is spread out.
const maxExposed = 65536

func expose(c *dockerConfigPart, s string) error {
	for _, w := range strings.Fields(s) {
		span, proto, ok := strings.Cut(strings.ToLower(w), "/")
		if !ok {
			proto = "tcp"
		}
		if proto != "tcp" && proto != "udp" && proto != "sctp" {
			return fault.New(fault.Invalid, "%q: protocol must be tcp, udp or sctp", clean(w))
		}
		from, to, isRange := strings.Cut(span, "-")
		if !isRange {
			to = from
		}
		lo, err := strconv.ParseUint(from, 10, 16)
		hi, err2 := strconv.ParseUint(to, 10, 16)
		if err != nil || err2 != nil || lo == 0 || lo > hi || hi-lo >= maxExposed {
			return fault.New(fault.Invalid, "%q is no port or range of ports", clean(w))
		}
		for p := lo; p <= hi; p++ {
			put(&c.ExposedPorts, strconv.FormatUint(p, 10)+"/"+proto, struct{}{})
		}
	}
	return nil
}

func eachVolume(s string, add func(string)) error {
	list, ok := jsonList(s)
	if !ok {
		list = strings.Fields(s)
	}
	for _, v := range list {
		if strings.TrimSpace(v) == "" {
			return fault.New(fault.Invalid, "a volume needs a path")
		}
		add(v)
	}
	return nil
}

func onBuild(c *dockerConfigPart, s string) error {
	word, _, _ := strings.Cut(s, " ")
	switch strings.ToUpper(word) {
	case "ONBUILD", "FROM", "MAINTAINER":
		return fault.New(fault.Invalid, "%s is not allowed as an ONBUILD trigger", strings.ToUpper(word))
	}
	c.OnBuild = append(c.OnBuild, s)
	return nil
}

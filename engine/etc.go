package engine

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/container/bundle"
	"github.com/berth-engine/berth/image"
	"github.com/berth-engine/berth/internal/fault"
)

// etcFacts decides on hostname, hosts and resolv.conf of a container: its own,
// generated ones beside the record, or those of the container whose network it
// joins. The host's files are copied, never mounted.
func (r *rooms) etcFacts(h *bundle.Host, b *parts, rec *container.Container, _ *image.Image) error {
	records, err := r.records()
	if err != nil {
		return err
	}
	q := &rec.Request
	dir := r.filesDir(records, rec.ID, q.Remove)
	name, joined := strings.CutPrefix(q.Network, "container:")
	if joined {
		if len(q.ExtraHosts)+len(q.DNS)+len(q.DNSSearch)+len(q.DNSOptions) > 0 {
			return fault.New(fault.Invalid, "conflicting options: --add-host and --dns with the network of another container")
		}
		other, err := records.Find(name)
		if err != nil {
			return err
		}
		dir = r.filesDir(records, other.ID, other.Request.Remove)
	}
	h.HostnameFile, h.Hosts, h.ResolvConf = filepath.Join(dir, "hostname"), filepath.Join(dir, "hosts"), filepath.Join(dir, "resolv.conf")
	if joined {
		return nil
	}
	host, err := bundle.Hostname(q, *h)
	if err != nil {
		return err
	}
	b.files[h.HostnameFile] = host + "\n"
	if b.files[h.Hosts], err = hostsFile(q, host); err != nil {
		return err
	}
	b.files[h.ResolvConf], err = resolvConf(q)
	return err
}

const localHosts = `127.0.0.1	localhost
::1	localhost ip6-localhost ip6-loopback
fe00::	ip6-localnet
ff00::	ip6-mcastprefix
ff02::1	ip6-allnodes
ff02::2	ip6-allrouters
`

func hostsFile(q *container.Request, _ string) (string, error) {
	text := localHosts
	if q.Network == "host" {
		if data, err := os.ReadFile("/etc/hosts"); err == nil {
			text = string(data)
		}
	}
	var b strings.Builder
	b.WriteString(text)
	for _, e := range q.ExtraHosts {
		name, ip, ok := strings.Cut(e, ":")
		if !ok || !word(name) || !word(ip) {
			return "", fault.New(fault.Invalid, "invalid --add-host %q: write host:ip", e)
		}
		if ip == "host-gateway" {
			return "", fault.New(fault.Unsupported, "--add-host %s: host-gateway needs bridge networking, which this version does not have yet", e)
		}
		b.WriteString(ip + "\t" + name + "\n")
	}
	return b.String(), nil
}

// resolvConf is the host's, with what the request replaces.
func resolvConf(q *container.Request) (string, error) {
	for _, list := range [][]string{q.DNS, q.DNSSearch, q.DNSOptions} {
		for _, v := range list {
			if !word(v) {
				return "", fault.New(fault.Invalid, "invalid DNS value %q", v)
			}
		}
	}
	data, err := os.ReadFile("/etc/resolv.conf")
	if err != nil && !os.IsNotExist(err) {
		return "", err
	}
	if len(q.DNS)+len(q.DNSSearch)+len(q.DNSOptions) == 0 {
		return string(data), nil
	}
	var b strings.Builder
	keep := func(key string, given []string) {
		if len(given) > 0 {
			return
		}
		for line := range strings.Lines(string(data)) {
			if f := strings.Fields(line); len(f) > 1 && f[0] == key {
				b.WriteString(strings.TrimSpace(line) + "\n")
			}
		}
	}
	for _, s := range q.DNS {
		b.WriteString("nameserver " + s + "\n")
	}
	keep("nameserver", q.DNS)
	if len(q.DNSSearch) > 0 && q.DNSSearch[0] != "." {
		b.WriteString("search " + strings.Join(q.DNSSearch, " ") + "\n")
	}
	keep("search", q.DNSSearch)
	if len(q.DNSOptions) > 0 {
		b.WriteString("options " + strings.Join(q.DNSOptions, " ") + "\n")
	}
	keep("options", q.DNSOptions)
	return b.String(), nil
}

// word is one printable word: it cannot make a second line of a file.
func word(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f })
}

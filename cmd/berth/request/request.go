package request

import (
	"fmt"
	"net/netip"
	"path"
	"path/filepath"
	"strings"

	"github.com/berth-engine/berth/container"
	"github.com/berth-engine/berth/internal/fault"
)

// Result is a parsed request with what the user should be told besides.
type Result struct {
	Request  container.Request
	Warnings []string
}

// Request reads the words after the flags (IMAGE [COMMAND] [ARG...], or with
// --rootfs only [COMMAND] [ARG...]) and lowers every flag. All errors are
// fault.Invalid or fault.Unsupported and name the flag.
func (f *Flags) Request(words []string, c Client) (Result, error) {
	if err := f.refused.first; err != nil {
		return Result{}, fault.As(fault.Unsupported, err)
	}
	p := parser{f: f, c: c}
	for _, step := range []func(words []string) error{
		p.image, p.identity, p.files, p.security, p.limits, p.namespaces, p.life,
	} {
		if err := step(words); err != nil {
			if fault.KindOf(err) == fault.Internal {
				err = fault.As(fault.Invalid, err)
			}
			return Result{}, err
		}
	}
	return Result{p.r, p.warn}, nil
}

type parser struct {
	f    *Flags
	c    Client
	r    container.Request
	warn []string
}

func (p *parser) image(words []string) error {
	p.r.Rootfs = p.f.rootfs
	if p.f.rootfs != "" {
		dir, err := p.abs(p.f.rootfs)
		if err != nil {
			return fmt.Errorf("--rootfs: %w", err)
		}
		p.r.Rootfs, p.r.Args = dir, words
		return nil
	}
	if len(words) == 0 {
		return fmt.Errorf("no image given")
	}
	p.r.Image = words[0]
	if len(words) > 1 {
		p.r.Args = words[1:]
	}
	return nil
}

func (p *parser) identity([]string) (err error) {
	f, r := p.f, &p.r
	r.Name, r.User, r.GroupAdd = f.name, f.user, f.groupAdd
	r.Hostname, r.Domainname = f.hostname, f.domainname
	r.TTY, r.OpenStdin = f.tty, f.interactive
	if f.workdir != "" {
		if !path.IsAbs(f.workdir) {
			return fmt.Errorf("the working directory '%s' is invalid, it needs to be an absolute path", f.workdir)
		}
		r.WorkDir = f.workdir
	}
	if e := f.entrypoint.v; e != nil {
		r.Entrypoint = []string{}
		if *e != "" {
			r.Entrypoint = []string{*e}
		}
	}
	if r.Env, err = Env(f.envFile, f.env, p.c); err != nil {
		return err
	}
	if r.Labels, err = labels(f.labelFile, f.label, p.c); err != nil {
		return err
	}
	r.Annotations, err = pairs("--annotation", f.annotation)
	return err
}

func (p *parser) files([]string) (err error) {
	f, r := p.f, &p.r
	r.ReadOnly, r.ShmSize = f.readOnly, f.shmSize
	r.Platform = f.platform
	switch f.pull {
	case "missing", "always", "never":
		r.Pull = f.pull
	default:
		return fmt.Errorf("--pull: %q is none of always, missing, never", f.pull)
	}
	if r.CIDFile, err = p.abs(f.cidFile); err != nil {
		return fmt.Errorf("--cidfile: %w", err)
	}
	if r.PIDFile, err = p.abs(f.pidFile); err != nil {
		return fmt.Errorf("--pidfile: %w", err)
	}
	return p.mounts()
}

// abs makes a client's path absolute; "" stays "".
func (p *parser) abs(name string) (string, error) {
	if name == "" || filepath.IsAbs(name) {
		return name, nil
	}
	dir, err := p.c.Getwd()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, name), nil
}

func (p *parser) namespaces([]string) error {
	f, r := p.f, &p.r
	if len(f.network) > 1 {
		return fault.New(fault.Unsupported, "--network: several networks need bridge networking, which this version does not have yet; give one of none, host, container:NAME")
	}
	for _, n := range f.network {
		if err := network(n); err != nil {
			return err
		}
		r.Network = n
	}
	modes := []struct {
		flag, value string
		words       []string
		join        bool
		to          *string
	}{
		{"--pid", f.pid, []string{"", "private", "host"}, true, &r.PID},
		{"--ipc", f.ipc, []string{"", "private", "host", "none", "shareable"}, true, &r.IPC},
		{"--uts", f.uts, []string{"", "private", "host"}, false, &r.UTS},
		{"--cgroupns", f.cgroupns, []string{"", "private", "host"}, false, &r.Cgroup},
		{"--userns", f.userns, []string{"", "host"}, false, &r.Userns},
	}
	for _, m := range modes {
		if err := mode(m.flag, m.value, m.words, m.join); err != nil {
			return err
		}
		*m.to = m.value
	}
	r.CgroupParent = f.cgroupParent
	return p.hosts()
}

func network(n string) error {
	switch {
	case n == "none" || n == "host":
		return nil
	case strings.HasPrefix(n, "container:") && len(n) > len("container:"):
		return nil
	case n == "bridge" || n == "default":
		return fault.New(fault.Unsupported, "--network %s: this version does not have bridge networking yet; use --network host or none", n)
	case n == "" || strings.HasPrefix(n, "container:"):
		return fmt.Errorf("--network %q: name a network: none, host or container:NAME", n)
	}
	return fault.New(fault.NotFound, "network %s not found: this version knows none, host and container:NAME", n)
}

func mode(flag, value string, words []string, join bool) error {
	for _, w := range words {
		if value == w {
			return nil
		}
	}
	if join && strings.HasPrefix(value, "container:") && len(value) > len("container:") {
		return nil
	}
	known := strings.Join(words[1:], ", ")
	if join {
		known += ", container:NAME"
	}
	return fmt.Errorf("%s: %q is none of %s", flag, value, known)
}

// hosts lowers --add-host and --dns…; the engine writes the files.
func (p *parser) hosts() error {
	for _, h := range p.f.addHost {
		name, ip, ok := strings.Cut(h, "=")
		if !ok {
			name, ip, ok = strings.Cut(h, ":")
		}
		if !ok || name == "" || ip == "" || !plain(h) {
			return fmt.Errorf("bad format for add-host: %q: write host:ip", h)
		}
		p.r.ExtraHosts = append(p.r.ExtraHosts, name+":"+strings.Trim(ip, "[]"))
	}
	for _, ip := range p.f.dns {
		if _, err := netip.ParseAddr(ip); err != nil {
			return fmt.Errorf("--dns: %q is not an ip address", ip)
		}
	}
	for _, l := range []List{p.f.dnsOpt, p.f.dnsSch} {
		for _, v := range l {
			if v == "" || !plain(v) {
				return fmt.Errorf("--dns…: %q is no usable value", v)
			}
		}
	}
	p.r.DNS, p.r.DNSOptions, p.r.DNSSearch = p.f.dns, p.f.dnsOpt, p.f.dnsSch
	return nil
}

// plain reports that s can stand in a line of /etc/hosts or resolv.conf.
func plain(s string) bool { return !strings.ContainsAny(s, "\n\r\x00") }

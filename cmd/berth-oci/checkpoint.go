package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/runtime/oci"
)

// imageFlags are the flags that checkpoint and restore share.
type imageFlags struct {
	oci.ImageRequest
	emptyNs list
}

func declareImage(a *app, m *imageFlags) {
	f := a.flags
	f.StringVar(&m.Images, "image-path", "", "directory of the image files (./checkpoint)")
	f.StringVar(&m.Work, "work-path", "", "directory of CRIU's log and working files (that of the image files)")
	f.StringVar(&m.CgroupMode, "manage-cgroups-mode", "", "soft (default), full, strict or ignore")
	f.Var(&m.emptyNs, "empty-ns", "namespaces to create and not to fill: network, which never is")
	f.BoolVar(&m.TCPEstablished, "tcp-established", false, "allow open TCP connections")
	f.BoolVar(&m.ExtUnixSk, "ext-unix-sk", false, "allow sockets to processes outside")
	f.BoolVar(&m.ShellJob, "shell-job", false, "allow a terminal and session of the caller")
	f.BoolVar(&m.FileLocks, "file-locks", false, "keep file locks")
	f.BoolVar(&m.AutoDedup, "auto-dedup", false, "keep no page twice")
	f.BoolVar(&m.LazyPages, "lazy-pages", false, "bring memory when it is used")
}

// request checks the flags. Paths are the caller's, not the bundle's.
func (m *imageFlags) request(id string) (q oci.ImageRequest, err error) {
	for ns := range strings.FieldsFuncSeq(m.emptyNs.String(), func(c rune) bool { return c == ',' }) {
		if ns != string(specs.NetworkNamespace) {
			return q, fault.New(fault.Invalid, "--empty-ns: namespace %q is not supported", ns)
		}
	}
	q = m.ImageRequest
	q.ID = id
	if q.Images == "" {
		q.Images = "checkpoint"
	}
	if q.Images, err = filepath.Abs(q.Images); err != nil || q.Work == "" {
		return q, err
	}
	q.Work, err = filepath.Abs(q.Work)
	return q, err
}

func cmdCheckpoint(a *app) func() (int, error) {
	var m imageFlags
	var req oci.CheckpointRequest
	declareImage(a, &m)
	f := a.flags
	f.StringVar(&req.Parent, "parent-path", "", "directory of an earlier pre-dump, relative to --image-path")
	pages := f.String("page-server", "", "ADDRESS:PORT that takes the pages, or with --lazy-pages has them")
	ready := f.Int("status-fd", -1, "descriptor that gets a zero byte when lazy pages can be had")
	f.BoolVar(&m.LeaveRunning, "leave-running", false, "let the container go on")
	f.BoolVar(&req.PreDump, "pre-dump", false, "write memory only, and let the container go on")
	f.BoolVar(&m.LinkRemap, "link-remap", false, "keep files that have no name any more")
	f.BoolVar(&m.TCPSkipInFlight, "tcp-skip-in-flight", false, "leave out connections that are being made")
	return func() (int, error) {
		var err error
		if req.ImageRequest, err = m.request(a.args[0]); err != nil {
			return 1, err
		}
		if req.Address, req.Port, err = pageServer(*pages); err != nil {
			return 1, err
		}
		if req.Ready, err = statusFile(*ready); err != nil {
			return 1, err
		}
		ctx, stop := signal.NotifyContext(context.Background(), heeded()...)
		defer stop()
		return 0, a.rt.Checkpoint(ctx, req)
	}
}

// heeded are the signals that end a checkpoint: not those that the caller has
// us ignore, as nohup(1) does, and shells for what runs behind them.
func heeded() []os.Signal {
	list := []os.Signal{unix.SIGTERM} // none would mean all
	for _, s := range []os.Signal{unix.SIGHUP, unix.SIGINT} {
		if !signal.Ignored(s) {
			list = append(list, s)
		}
	}
	return list
}

// pageServer reads ADDRESS:PORT.
func pageServer(s string) (address string, port int, err error) {
	if s == "" {
		return "", 0, nil
	}
	address, text, ok := cutPort(s)
	if ok {
		port, err = strconv.Atoi(text)
	}
	if !ok || err != nil || address == "" || port < 1 || port > 65535 {
		return "", 0, fault.New(fault.Invalid, "--page-server %q: give ADDRESS:PORT", s)
	}
	return address, port, nil
}

// cutPort is net.SplitHostPort; package net would cost every start its own.
func cutPort(s string) (host, port string, ok bool) {
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 {
		return "", "", false
	}
	host, port = s[:colon], s[colon+1:]
	if inner, bracketed := strings.CutPrefix(host, "["); bracketed {
		host, ok = strings.CutSuffix(inner, "]")
		return host, port, ok
	}
	return host, port, !strings.Contains(host, ":")
}

// statusFile is a descriptor that we were started with, and that can be
// written to.
func statusFile(fd int) (*os.File, error) {
	if fd < 0 {
		return nil, nil
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	closes, cerr := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil || cerr != nil || closes&unix.FD_CLOEXEC != 0 || flags&unix.O_ACCMODE == unix.O_RDONLY {
		return nil, fault.New(fault.Invalid, "--status-fd: descriptor %d is not open, or not for writing", fd)
	}
	unix.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "status"), nil
}

func cmdRestore(a *app) func() (int, error) {
	var m imageFlags
	var mk makeFlags
	var req oci.RestoreRequest
	declareImage(a, &m)
	declareMake(a, &mk)
	f := a.flags
	f.BoolVarP(&mk.detach, "detach", "d", "return when the container runs")
	f.Bool("no-subreaper", false, "accepted; this runtime is no subreaper")
	f.BoolVar(&m.TCPClose, "tcp-close", false, "restore TCP connections as closed ones")
	f.StringVar(&req.LSMProfile, "lsm-profile", "", "TYPE:NAME of a profile in the place of that of the image")
	f.StringVar(&req.LSMMount, "lsm-mount-context", "", "label of the mounts in the place of that of the image")
	return func() (int, error) {
		made, err := mk.request(a, a.args[0])
		if err != nil {
			return 1, err
		}
		if req.ImageRequest, err = m.request(made.ID); err != nil {
			return 1, err
		}
		req.Bundle, req.Stdio, req.PIDFile = made.Bundle, made.Stdio, made.PIDFile
		if req.Console, err = mk.console(made.Bundle.Spec.Process, mk.detach); err != nil {
			return 1, err
		}
		p := req.Bundle.Spec.Process
		tty := req.Console == nil && p != nil && p.Terminal
		return a.foreground(&mk, req.ID, tty, func() (*oci.Process, error) {
			return a.rt.Restore(context.Background(), req)
		})
	}
}

package main

import (
	"github.com/checkpoint-restore/go-criu/v8/rpc"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/runtime/criu"
)

// logLevel is CRIU's for debugging: its log is the only witness of a failure.
const logLevel = 4

// message is a request in CRIU's words.
func message(r *criu.Request) *rpc.CriuReq {
	o := &rpc.CriuOpts{
		ImagesDirFd:   new(int32(r.Images)),
		WorkDirFd:     new(int32(r.Work)),
		LogLevel:      new(int32(logLevel)),
		LogFile:       &r.Log,
		NotifyScripts: new(true),
		// A terminal whose master is not in the container is ours to keep.
		OrphanPtsMaster: new(true),
		External:        r.External,
	}
	o.Root, o.ConfigFile, o.ParentImg = text(r.Root), text(r.Config), text(r.Parent)
	setFlags(o, &r.Options)
	setGroups(o, r)
	if r.EmptyNet {
		o.EmptyNs = new(uint32(unix.CLONE_NEWNET))
	}
	kind := rpc.CriuReqType_RESTORE
	switch r.Verb {
	case criu.Restore:
		setRestore(o, r)
	case criu.PreDump:
		kind = rpc.CriuReqType_PRE_DUMP
		setDump(o, r)
	case criu.Dump:
		kind = rpc.CriuReqType_DUMP
		setDump(o, r)
	}
	return &rpc.CriuReq{Type: &kind, Opts: o}
}

// text is an optional string.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func setFlags(o *rpc.CriuOpts, f *criu.Options) {
	o.TcpEstablished, o.TcpClose = &f.TCPEstablished, &f.TCPClose
	o.ExtUnixSk, o.ShellJob, o.FileLocks = &f.ExtUnixSk, &f.ShellJob, &f.FileLocks
	o.AutoDedup, o.LazyPages = &f.AutoDedup, &f.LazyPages
}

var modes = map[string]rpc.CriuCgMode{
	"": rpc.CriuCgMode_SOFT, "soft": rpc.CriuCgMode_SOFT, "full": rpc.CriuCgMode_FULL,
	"strict": rpc.CriuCgMode_STRICT, "ignore": rpc.CriuCgMode_IGNORE,
}

func setGroups(o *rpc.CriuOpts, r *criu.Request) {
	o.ManageCgroups, o.ManageCgroupsMode = new(true), new(modes[r.CgroupMode])
	for _, g := range r.Groups {
		o.CgRoot = append(o.CgRoot, &rpc.CgroupRoot{Ctrl: &g.Name, Path: &g.Path})
	}
	o.FreezeCgroup = text(r.Freeze)
}

func setDump(o *rpc.CriuOpts, r *criu.Request) {
	o.Pid = new(int32(r.Pid))
	o.LeaveRunning, o.LinkRemap, o.TcpSkipInFlight = &r.LeaveRunning, &r.LinkRemap, &r.TCPSkipInFlight
	// Without it the pages that change after a pre-dump are not known.
	o.TrackMem = new(r.Verb == criu.PreDump || r.Parent != "")
	if r.Address != "" {
		o.Ps = &rpc.CriuPageServerInfo{Address: &r.Address, Port: new(int32(r.Port))}
	}
}

func setRestore(o *rpc.CriuOpts, r *criu.Request) {
	// The first process becomes a child of CRIU's parent, which is berth-oci.
	o.RstSibling = new(true)
	// A device whose node is another one by now is opened by its number.
	o.EvasiveDevices = new(true)
	o.LsmProfile, o.LsmMountContext = text(r.LSMProfile), text(r.LSMMount)
	for _, in := range r.Inherit {
		o.InheritFd = append(o.InheritFd, &rpc.InheritFd{Key: &in.Key, Fd: new(int32(in.FD))})
	}
	for _, j := range r.Join {
		o.JoinNs = append(o.JoinNs, &rpc.JoinNamespace{Ns: &j.Name, NsFile: &j.Path})
	}
}

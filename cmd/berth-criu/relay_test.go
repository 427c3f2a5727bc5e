package main

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/checkpoint-restore/go-criu/v8/rpc"
	"golang.org/x/sys/unix"

	"github.com/berth-engine/berth/runtime/criu"
)

func wires(t *testing.T) (a, b *criu.Wire) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, b = newWire(uintptr(fds[0])), newWire(uintptr(fds[1]))
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// talk is berth-criu between a caller and a CRIU that the test plays.
type talk struct {
	t            *testing.T
	caller, work *criu.Wire
	status       chan int
}

func newTalk(t *testing.T, r any) *talk {
	t.Helper()
	ours, theirs := wires(t)
	swrk, client := wires(t)
	k := &talk{t, ours, swrk, make(chan int, 1)}
	go func() { k.status <- serve(theirs, client); client.Close() }()
	if err := ours.Send(r, nil); err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *talk) asked() *rpc.CriuReq {
	k.t.Helper()
	data, _, err := k.work.ReceiveBytes()
	req := &rpc.CriuReq{}
	if err == nil {
		err = req.UnmarshalVT(data)
	}
	if err != nil {
		k.t.Fatal(err)
	}
	return req
}

func (k *talk) answer(resp *rpc.CriuResp, with *os.File) {
	k.t.Helper()
	data, err := resp.MarshalVT()
	if err == nil {
		err = k.work.SendBytes(data, with)
	}
	if err != nil {
		k.t.Fatal(err)
	}
}

func (k *talk) heard() (e criu.Event, with *os.File) {
	k.t.Helper()
	with, err := k.caller.Receive(&e)
	if err != nil {
		k.t.Fatal(err)
	}
	return e, with
}

func TestRelay(t *testing.T) {
	k := newTalk(t, criu.Request{Verb: criu.Restore, Images: 9, Work: 10, Log: "restore.log", EmptyNet: true})
	if req := k.asked(); req.GetType() != rpc.CriuReqType_RESTORE || !req.GetOpts().GetRstSibling() || req.GetOpts().GetImagesDirFd() != 9 {
		t.Errorf("CRIU is asked %+v", req.GetOpts())
	}
	file, err := os.CreateTemp(t.TempDir(), "terminal")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	k.answer(&rpc.CriuResp{
		Type: new(rpc.CriuReqType_NOTIFY), Success: new(true),
		Notify: &rpc.CriuNotify{Script: new(criu.PostRestore), Pid: new(int32(77))},
	}, file)
	e, with := k.heard()
	if e != (criu.Event{Step: criu.PostRestore, Pid: 77}) || with == nil {
		t.Errorf("%+v, %v", e, with)
	}
	with.Close()
	for _, goes := range []bool{true, false} {
		if !goes {
			k.answer(&rpc.CriuResp{Type: new(rpc.CriuReqType_NOTIFY), Success: new(true), Notify: &rpc.CriuNotify{Script: new("x")}}, nil)
			k.heard()
		}
		if err := k.caller.Send(criu.Answer{Go: goes}, nil); err != nil {
			t.Fatal(err)
		}
		if req := k.asked(); req.GetType() != rpc.CriuReqType_NOTIFY || req.GetNotifySuccess() != goes {
			t.Errorf("the answer is %v for %v", req.GetNotifySuccess(), goes)
		}
	}
	k.answer(&rpc.CriuResp{Type: new(rpc.CriuReqType_RESTORE), Success: new(true)}, nil)
	if e, _ := k.heard(); !e.Done {
		t.Errorf("at last %+v", e)
	}
	if code := <-k.status; code != 0 {
		t.Errorf("status %d", code)
	}
}

func TestRelayFails(t *testing.T) {
	dump := criu.Request{Verb: criu.Dump, Pid: 5}
	failed := func(k *talk, says string) {
		t.Helper()
		e, _ := k.heard()
		if !strings.Contains(e.Error, says) || e.Done {
			t.Errorf("%+v, want %q", e, says)
		}
		if code := <-k.status; code != 1 {
			t.Errorf("status %d", code)
		}
	}
	failed(newTalk(t, criu.Request{Verb: "exec"}), "nothing like")
	failed(newTalk(t, map[string]int{"odd": 1}), "a message that is none")

	k := newTalk(t, dump)
	k.asked()
	k.answer(&rpc.CriuResp{Type: new(rpc.CriuReqType_DUMP), Success: new(false), CrErrno: new(int32(3)), CrErrmsg: new("no such task")}, nil)
	failed(k, "DUMP was not done, error 3: no such task")

	k = newTalk(t, dump)
	k.asked()
	k.work.Close()
	failed(k, "ended without an answer")

	k = newTalk(t, dump)
	k.asked()
	if err := k.work.SendBytes([]byte{0xff}, nil); err != nil {
		t.Fatal(err)
	}
	failed(k, "no message")

	// When the caller is gone, so are we, and CRIU learns it.
	k = newTalk(t, dump)
	k.asked()
	k.caller.Close()
	k.answer(&rpc.CriuResp{Type: new(rpc.CriuReqType_NOTIFY), Success: new(true), Notify: &rpc.CriuNotify{Script: new("post-dump")}}, nil)
	if code := <-k.status; code != 1 {
		t.Errorf("status %d", code)
	}
	if _, _, err := k.work.ReceiveBytes(); !errors.Is(err, io.EOF) {
		t.Errorf("CRIU hears %v", err)
	}
}

// TestMessage: every field of a request is one of CRIU's.
func TestMessage(t *testing.T) {
	all := criu.Options{
		LeaveRunning: true, TCPEstablished: true, TCPSkipInFlight: true, TCPClose: true, ExtUnixSk: true,
		ShellJob: true, FileLocks: true, LinkRemap: true, AutoDedup: true, LazyPages: true,
	}
	req := message(&criu.Request{
		Verb: criu.PreDump, Pid: 7, Log: "dump.log", Root: "/r", Parent: "../p", External: []string{"net[1]:x"}, EmptyNet: true,
		CgroupMode: "full", Freeze: "/f", Config: "/c", Address: "a", Port: 5, Options: all,
	})
	o := req.GetOpts()
	for what, ok := range map[string]bool{
		"verb": req.GetType() == rpc.CriuReqType_PRE_DUMP, "pid": o.GetPid() == 7, "log": o.GetLogFile() == "dump.log",
		"root": o.GetRoot() == "/r", "parent": o.GetParentImg() == "../p" && o.GetTrackMem(), "external": len(o.GetExternal()) == 1,
		"empty": o.GetEmptyNs() == unix.CLONE_NEWNET, "mode": o.GetManageCgroupsMode() == rpc.CriuCgMode_FULL && o.GetManageCgroups(),
		"freeze": o.GetFreezeCgroup() == "/f", "config": o.GetConfigFile() == "/c", "server": o.GetPs().GetAddress() == "a" && o.GetPs().GetPort() == 5,
		"running": o.GetLeaveRunning(), "tcp": o.GetTcpEstablished() && o.GetTcpSkipInFlight() && o.GetTcpClose(),
		"sockets": o.GetExtUnixSk(), "job": o.GetShellJob(), "locks": o.GetFileLocks(), "links": o.GetLinkRemap(),
		"pages": o.GetAutoDedup() && o.GetLazyPages(), "notify": o.GetNotifyScripts() && o.GetOrphanPtsMaster(), "sibling": !o.GetRstSibling(),
	} {
		if !ok {
			t.Errorf("pre-dump: %s", what)
		}
	}
	o = message(&criu.Request{
		Verb: criu.Restore, LSMProfile: "apparmor:x", LSMMount: "l", Inherit: []criu.Inherit{{Key: "k", FD: 4}},
		Groups: []criu.Pair{{Name: "memory", Path: "/g"}}, Join: []criu.Pair{{Name: "ipc", Path: "/n"}},
	}).GetOpts()
	for what, ok := range map[string]bool{
		"lsm":     o.GetLsmProfile() == "apparmor:x" && o.GetLsmMountContext() == "l",
		"inherit": o.GetInheritFd()[0].GetKey() == "k" && o.GetInheritFd()[0].GetFd() == 4,
		"groups":  o.GetCgRoot()[0].GetCtrl() == "memory" && o.GetCgRoot()[0].GetPath() == "/g",
		"join":    o.GetJoinNs()[0].GetNs() == "ipc" && o.GetJoinNs()[0].GetNsFile() == "/n",
		"none":    o.Root == nil && o.ParentImg == nil && o.Ps == nil && o.EmptyNs == nil,
	} {
		if !ok {
			t.Errorf("restore: %s", what)
		}
	}
}

func TestByHand(t *testing.T) {
	var out, errs strings.Builder
	if code := run([]string{"berth-criu", "--help"}, &out, &errs); code != 0 || !strings.Contains(out.String(), "NAME:\n") {
		t.Errorf("help: %d, %s%s", code, &out, &errs)
	}
	for _, args := range [][]string{{"berth-criu", "dump"}, {"berth-criu", "--odd"}} {
		errs.Reset()
		if code := run(args, &out, &errs); code != 1 || strings.Count(errs.String(), "\n") != 1 {
			t.Errorf("%q: %d, %s", args, code, &errs)
		}
	}
}

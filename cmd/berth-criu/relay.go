package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/checkpoint-restore/go-criu/v8/rpc"

	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/runtime/criu"
)

// serve does one request. Whatever goes wrong is said to the caller; the status
// is for whoever looks at processes.
func serve(caller, worker *criu.Wire) int {
	err := relay(caller, worker)
	last := criu.Event{Done: true}
	if err != nil {
		last = criu.Event{Error: err.Error()}
	}
	if err := errors.Join(err, caller.Send(last, nil)); err != nil {
		return 1
	}
	return 0
}

// relay passes the request on, then each step to the caller and its answer to
// CRIU, until CRIU says how it went.
func relay(caller, worker *criu.Wire) error {
	var r criu.Request
	with, err := caller.Receive(&r)
	if with != nil {
		with.Close()
	}
	if err == nil {
		err = r.Check()
	}
	if err != nil {
		return err
	}
	say := message(&r)
	for {
		data, err := say.MarshalVT()
		if err != nil {
			return err
		}
		if err := worker.SendBytes(data, nil); err != nil {
			return fault.Op("criu", "", err)
		}
		resp, file, err := hear(worker)
		if err != nil {
			return err
		}
		if resp.GetType() != rpc.CriuReqType_NOTIFY {
			return last(resp, file)
		}
		if say, err = step(caller, resp, file); err != nil {
			return err
		}
	}
}

func hear(worker *criu.Wire) (*rpc.CriuResp, *os.File, error) {
	data, file, err := worker.ReceiveBytes()
	if errors.Is(err, io.EOF) {
		return nil, nil, fault.New(fault.Unavailable, "it ended without an answer")
	}
	if err != nil {
		return nil, nil, err
	}
	resp := &rpc.CriuResp{}
	if err := resp.UnmarshalVT(data); err != nil {
		return nil, nil, fault.New(fault.Invalid, "its answer is no message: %w", errors.Join(err, closed(file)))
	}
	return resp, file, nil
}

// last is how it went.
func last(resp *rpc.CriuResp, file *os.File) error {
	if err := closed(file); err != nil {
		return err
	}
	if resp.GetSuccess() {
		return nil
	}
	text := fmt.Sprintf("%s was not done", resp.GetType())
	if n := resp.GetCrErrno(); n != 0 {
		text += fmt.Sprintf(", error %d", n)
	}
	if msg := resp.GetCrErrmsg(); msg != "" {
		text += ": " + msg
	}
	return fault.New(fault.Unavailable, "%s", text)
}

// step tells the caller what CRIU has come to, and makes its answer CRIU's.
func step(caller *criu.Wire, resp *rpc.CriuResp, file *os.File) (*rpc.CriuReq, error) {
	n := resp.GetNotify()
	err := caller.Send(criu.Event{Step: n.GetScript(), Pid: int(n.GetPid())}, file)
	if err := errors.Join(err, closed(file)); err != nil {
		return nil, err
	}
	var answer criu.Answer
	with, err := caller.Receive(&answer)
	if err := errors.Join(err, closed(with)); err != nil {
		return nil, err
	}
	return &rpc.CriuReq{Type: new(rpc.CriuReqType_NOTIFY), NotifySuccess: &answer.Go}, nil
}

func closed(f *os.File) error {
	if f == nil {
		return nil
	}
	return f.Close()
}

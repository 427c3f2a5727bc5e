package oci

import (
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-engine/berth/internal/disk"
	"github.com/berth-engine/berth/internal/fault"
	"github.com/berth-engine/berth/internal/jsontext"
)

// writeState writes what encoding/json would: every start waits for it twice.
func writeState(w *jsontext.Writer, s *State) {
	w.Open('{')
	w.Key("ociVersion").Text(s.Version)
	w.Key("id").Text(s.ID)
	w.Key("status").Text(string(s.Status))
	if s.Pid != 0 {
		w.Key("pid").Int(int64(s.Pid))
	}
	w.Key("bundle").Text(s.Bundle)
	if len(s.Annotations) > 0 {
		w.Key("annotations").Table(s.Annotations)
	}
	w.Key("rootfs").Text(s.Rootfs)
	w.Key("created").Time(s.Created)
	w.Key("owner").Text(s.Owner)
	w.Key("startTicks").Uint(s.StartTicks)
	w.Key("boot").Text(s.Boot)
	w.Key("cgroups").Table(s.Cgroups)
	w.Key("program").Text(s.Program)
	if s.Hooks {
		w.Key("hooks").Bool(true)
	}
	w.Close('}')
}

func readState(r *jsontext.Reader, s *State) {
	for key := range r.Object() {
		switch key {
		case "ociVersion":
			s.Version = r.Text()
		case "id":
			s.ID = r.Text()
		case "status":
			s.Status = specs.ContainerState(r.Text())
		case "pid":
			s.Pid = int(r.Int(64))
		case "bundle":
			s.Bundle = r.Text()
		case "annotations":
			s.Annotations = r.Table()
		case "rootfs":
			s.Rootfs = r.Text()
		case "owner":
			s.Owner = r.Text()
		case "created":
			s.Created = r.Time()
		case "startTicks":
			s.StartTicks = r.Uint(64)
		case "boot":
			s.Boot = r.Text()
		case "cgroups":
			s.Cgroups = r.Table()
		case "program":
			s.Program = r.Text()
		case "hooks":
			s.Hooks = r.Bool()
		default:
			r.Leave(key, s)
		}
	}
}

func saveState(path string, s *State) error {
	var w jsontext.Writer
	writeState(&w, s)
	return disk.Write(path, append(w.Bytes(), '\n'), 0o600)
}

func loadState(path string, s *State) error {
	data, err := disk.ReadInto(nil, path)
	if err != nil {
		return err
	}
	if err := jsontext.Decode(data, s, readState); err != nil {
		return fault.New(fault.Damaged, "read %s: %w", path, err)
	}
	return nil
}

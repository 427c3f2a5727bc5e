// Package jsontext reads and writes JSON where encoding/json is too slow to
// begin: before that package decodes a byte it prepares itself, by reflection,
// for every type that it could reach from the target. For a command that lives
// ten milliseconds this is the larger part of reading its file.
//
//	for key := range r.Object() {        w.Open('{')
//		switch key {                     w.Key("id").Text(s.ID)
//		case "path":                     w.Key("pid").Int(s.Pid)
//			root.Path = r.Text()         w.Close('}')
//		default:
//			r.Leave(key, &root)
//		}
//	}
//
// A Reader knows the everyday part of JSON: what is valid and usual it reads
// at once, a key that the caller does not know it leaves to encoding/json, and
// at anything else it stops and is bad. Decode then has encoding/json read the
// text from the start, so that both cannot disagree and errors are always
// those of encoding/json. A fuzz target of each caller holds that.
//
// It does not replace encoding/json: use it only for what a user waits for.
package jsontext

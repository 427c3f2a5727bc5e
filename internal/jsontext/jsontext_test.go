package jsontext

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

type leaf struct {
	Name string   `json:"name"`
	N    int64    `json:"n"`
	U    uint32   `json:"u"`
	On   bool     `json:"on"`
	List []string `json:"list"`
	Rare *float64 `json:"rare"`
}

type tree struct {
	Leaf   leaf              `json:"leaf"`
	Leaves []leaf            `json:"leaves"`
	Table  map[string]string `json:"table"`
}

func readLeaf(r *Reader, l *leaf) {
	for key := range r.Object() {
		switch key {
		case "name":
			l.Name = r.Text()
		case "n":
			l.N = r.Int(64)
		case "u":
			l.U = uint32(r.Uint(32))
		case "on":
			l.On = r.Bool()
		case "list":
			l.List = r.Texts()
		default:
			r.Leave(key, l)
		}
	}
}

func readTree(r *Reader, t *tree) {
	for key := range r.Object() {
		switch key {
		case "leaf":
			readLeaf(r, &t.Leaf)
		case "leaves":
			t.Leaves = List(r, readLeaf)
		case "table":
			t.Table = r.Table()
		default:
			r.Leave(key, t)
		}
	}
}

// quick are texts that need no second look, slow those that do.
var (
	quick = []string{
		`{}`, ` { } `, `{"leaf":{}}`,
		`{"leaf":{"name":"a","n":-12,"u":4294967295,"on":true,"list":["x","é\n\"",""]}}`,
		"{\n\t\"leaves\": [ {\"n\": 9223372036854775807} , {\"n\":-9223372036854775808}, {} ],\r\n \"table\": {\"a\":\"b\", \"c\":\"\"} }\n",
		`{"leaf":{"rare":1.5e3,"NAME":"upper","other":[{"a":[1,null,true,"]"]}]},"unknown":{"x":{}}}`,
		`{"leaf":null,"table":null,"leaves":[],"x":null}`,
	}
	slow = []string{
		`{"leaf":{"n":1.0}}`, `{"leaf":{"n":1},"leaf":{"u":2}}`, `{"table":{"a":null}}`, `{"leaves":[null]}`, `null`,
		`{"LEAF":{"n":1},"leaf":{"u":2}}`, `{"table":{"a":"b"},"Table":null}`,
	}
	wrong = []string{
		``, `{`, `{"leaf"}`, `{"leaf":}`, `{"leaf":{"n":01}}`, `{"leaf":{"n":9223372036854775808}}`, `{"leaf":{"u":-1}}`,
		`{"leaf":{"u":4294967296}}`, `{"leaf":{"on":tru}}`, `{"leaf":{"name":1}}`, `{"leaf":{}}x`, `{"leaf":{},}`, `{,}`,
		`{"leaf":{"rare":"x"}}`, `{"leaf":{"other":[}}}`, `{"leaf":{"name":"a` + "\n" + `"}}`, `{"leaves":[{},]}`, `{"leaf":{"list":["a" "b"]}}`,
		`{"x":}`, `{"x":1 2}`, `{"x":]}`, `{"x":tru}`,
	}
)

func TestDecode(t *testing.T) {
	for _, tt := range []struct {
		texts   []string
		quickly bool
	}{{quick, true}, {slow, false}, {wrong, false}} {
		for _, text := range tt.texts {
			if quickly := same(t, text); quickly != tt.quickly {
				t.Errorf("%s: read at once is %v", text, quickly)
			}
		}
	}
}

// same compares Decode with encoding/json and says whether it was needed.
func same(t *testing.T, text string) (quickly bool) {
	t.Helper()
	var got, want tree
	err, wantErr := Decode([]byte(text), &got, readTree), json.Unmarshal([]byte(text), &want)
	if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
		t.Errorf("%q: error %v, want %v", text, err, wantErr)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q:\n got %+v\nwant %+v", text, got, want)
	}
	return Try([]byte(text), &tree{}, readTree)
}

func FuzzDecode(f *testing.F) {
	for _, list := range [][]string{quick, slow, wrong} {
		for _, text := range list {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) { same(t, text) })
}

func TestWriter(t *testing.T) {
	at := time.Date(2026, 8, 1, 12, 0, 0, 123456789, time.UTC)
	want, err := json.Marshal(struct {
		A string
		B []any
		C time.Time
		D map[string]string
	}{`é"<\`, []any{int64(-1), uint64(1 << 63), true, []string{}, []string{"x", "y"}}, at, map[string]string{}})
	if err != nil {
		t.Fatal(err)
	}
	var w Writer
	w.Open('{')
	w.Key("A").Text(`é"<\`)
	w.Key("B").Open('[')
	w.Int(-1)
	w.Uint(1 << 63)
	w.Bool(true)
	w.Texts(nil)
	w.Texts([]string{"x", "y"})
	w.Close(']')
	w.Key("C").Time(at)
	w.Key("D").Open('{')
	w.Close('}')
	w.Close('}')
	if string(w.Bytes()) != string(want) {
		t.Errorf("got %s\nwant %s", w.Bytes(), want)
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "plain", "<&>", "é", "\x00\x7f\xff", `a"b\c`, "\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var w Writer
		w.Text(s)
		if string(w.Bytes()) != string(want) {
			t.Errorf("%q: got %s, want %s", s, w.Bytes(), want)
		}
	})
}

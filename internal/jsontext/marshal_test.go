package jsontext

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

type upper string

func (u upper) MarshalText() ([]byte, error) { return []byte("<" + string(u) + ">"), nil }

func (u *upper) UnmarshalText(text []byte) error {
	*u = upper(text[1 : len(text)-1])
	return nil
}

type base struct {
	ID   string `json:"id"`
	Note string `json:"note,omitempty"`
}

type kitchen struct {
	base
	Plain   string
	Named   leaf              `json:"named"`
	Pointer *leaf             `json:"pointer,omitempty"`
	List    []leaf            `json:",omitempty"`
	Bools   [3]bool           `json:",omitzero"`
	Raw     json.RawMessage   `json:"raw,omitempty"`
	Map     map[string]int16  `json:"map"`
	Deep    map[string][]base `json:"deep,omitempty"`
	At      time.Time         `json:"at,omitzero"`
	Bytes   []byte            `json:"bytes,omitempty"`
	Float   float64           `json:"float,omitempty"`
	Any     any               `json:"any,omitempty"`
	Numbers map[int]string    `json:"numbers,omitempty"`
	Text    upper             `json:"text,omitempty"`
	Skipped string            `json:"-"`
	Byte    byte              `json:"byte,omitempty"`
	Zeros   leaf              `json:"zeros,omitempty"`
	hidden  int
}

func full() kitchen {
	f := 2.5
	return kitchen{
		base: base{ID: "a<b", Note: "n"}, Plain: "é", Named: leaf{Name: "x", N: -1, U: 2, On: true, List: []string{}, Rare: &f},
		Pointer: &leaf{}, List: []leaf{{}, {N: 3}}, Bools: [3]bool{true}, Raw: json.RawMessage(`{"a":[1,null]}`), Map: map[string]int16{"z": 1, "a": -2},
		Deep: map[string][]base{"k": {{ID: "1"}}, "n": nil}, At: time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC), Bytes: []byte("hi"), Float: 1.5,
		Any: "any", Numbers: map[int]string{2: "two"}, Text: "t", Skipped: "s", Byte: 7, hidden: 1,
	}
}

func TestMarshal(t *testing.T) {
	for _, v := range []any{full(), kitchen{}, &kitchen{}, []kitchen{full()}, nil, "x", 1, []string(nil), map[string]leaf{"a": {}}, json.RawMessage(`[1]`), (*leaf)(nil)} {
		want, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Marshal(v)
		if err != nil || string(got) != string(want) {
			t.Errorf("%T: got %s, %v\nwant %s", v, got, err, want)
		}
	}
	if _, err := Marshal(struct{ C chan int }{}); err == nil {
		t.Error("a channel was marshalled")
	}
	late := struct{ At time.Time }{time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC)}
	if _, err := json.Marshal(late); err == nil {
		t.Error("encoding/json writes a year of five digits")
	}
	if _, err := Marshal(late); err == nil {
		t.Error("a year of five digits was marshalled")
	}
}

func sameKitchen(t *testing.T, text []byte) {
	t.Helper()
	var got, want kitchen
	err, wantErr := Unmarshal(text, &got), json.Unmarshal(text, &want)
	if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
		t.Errorf("%q: error %v, want %v", text, err, wantErr)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q:\n got %+v\nwant %+v", text, got, want)
	}
}

var kitchens = []string{
	`{"id":"1","PLAIN":"x","bools":[true,false,true],"Bools":[true],"raw":{},"map":{"a":1,"a":2},"deep":{"a":[{"id":"x"}],"b":null}}`,
	`{"named":{"list":null},"pointer":null,"List":[{"n":1},null],"at":"2026-01-02T03:04:05Z","bytes":"aGk=","text":"<q>","numbers":{"1":"x"}}`,
	`{"map":{"a":99999}}`, `{"at":"yesterday"}`, `{"float":1e3,"any":{"a":1},"byte":255}`, `{"byte":256}`, `{"-":"x","hidden":3,"Skipped":"y"}`, `[]`, `null`,
	`{"at":null}`, `{"at":"2026-01-02T03:04:05.5+01:00"}`, `{"at":"\u0032026-01-02T03:04:05Z"}`, `{"at":"2026-01-02T24:04:05Z"}`, `{"at":1}`,
}

func TestUnmarshal(t *testing.T) {
	text, err := json.Marshal(full())
	if err != nil {
		t.Fatal(err)
	}
	sameKitchen(t, text)
	for _, s := range kitchens {
		sameKitchen(t, []byte(s))
	}
	into := kitchen{Plain: "was there"}
	if err := Unmarshal([]byte(`{"id":"1"}`), &into); err != nil || into.Plain != "was there" {
		t.Errorf("got %+v, %v", into, err)
	}
	if err := Unmarshal([]byte(`{}`), into); err == nil {
		t.Error("decoded into a value that is no pointer")
	}
}

func FuzzUnmarshal(f *testing.F) {
	for _, s := range kitchens {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) { sameKitchen(t, text) })
}

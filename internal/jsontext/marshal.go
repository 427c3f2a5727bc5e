package jsontext

import (
	"cmp"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Marshal makes the text that json.Marshal makes. It walks the value and not
// its type: what is empty and left out costs nothing. What it does not know
// (floats, maps by numbers, types that marshal themselves) it leaves to
// encoding/json.
//
// A method MarshalJSON counts only where the value itself has it.
func Marshal(v any) ([]byte, error) {
	w := walker{}
	w.text = make([]byte, 0, 1024) // most records fit; each time it grows takes a fresh page
	w.value(reflect.ValueOf(v))
	return w.text, w.err
}

type walker struct {
	Writer
	err error
}

func (w *walker) value(v reflect.Value) {
	switch v.Kind() {
	case reflect.Invalid:
		w.null()
		return
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			w.null()
		} else {
			w.value(v.Elem())
		}
		return
	}
	if t, ok := instant(v); ok {
		w.instant(t)
		return
	}
	if v.Type().NumMethod() > 0 && marshals(v) {
		w.leave(v)
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		w.Bool(v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		w.Int(v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		w.Uint(v.Uint())
	case reflect.String:
		w.Text(v.String())
	case reflect.Struct:
		w.Open('{')
		w.fields(v)
		w.Close('}')
	case reflect.Slice, reflect.Array:
		w.list(v)
	case reflect.Map:
		w.table(v)
	default:
		w.leave(v)
	}
}

// instant is the time that v is. Nearly every record has one, and encoding/json
// needs more pages for its encoders than the rest of the record takes.
func instant(v reflect.Value) (t time.Time, ok bool) {
	if v.Kind() == reflect.Struct && v.CanInterface() {
		t, ok = v.Interface().(time.Time)
	}
	return t, ok
}

func (w *walker) instant(t time.Time) {
	text, err := t.MarshalJSON()
	if err != nil && w.err == nil {
		w.err = err
	}
	w.comma()
	w.text = append(w.text, text...)
}

func marshals(v reflect.Value) bool {
	switch v.Interface().(type) {
	case json.Marshaler, interface{ MarshalText() ([]byte, error) }:
		return true
	}
	return false
}

// leave has encoding/json write a value.
func (w *walker) leave(v reflect.Value) {
	text, err := json.Marshal(v.Interface())
	if err != nil && w.err == nil {
		w.err = err
	}
	w.comma()
	w.text = append(w.text, text...)
}

func (w *walker) null() {
	w.comma()
	w.text = append(w.text, "null"...)
}

func (w *walker) fields(v reflect.Value) {
	t := v.Type()
	for i := range t.NumField() {
		f, field := t.Field(i), v.Field(i)
		name, option := tagOf(f)
		switch {
		case name == "" && f.Anonymous && field.Kind() == reflect.Struct:
			w.fields(field)
			continue
		case name == "-", !f.IsExported():
			continue
		case option == "omitempty" && empty(field), option == "omitzero" && zero(field):
			continue
		case name == "":
			name = f.Name
		}
		w.Key(name)
		w.value(field)
	}
}

// tagOf returns the name and the option of a field's tag, each "" without.
func tagOf(f reflect.StructField) (name, option string) {
	tag, ok := f.Tag.Lookup("json")
	if !ok {
		return "", ""
	}
	name, option, _ = strings.Cut(tag, ",")
	return name, option
}

func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map, reflect.Array, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

func zero(v reflect.Value) bool {
	if z, ok := v.Interface().(interface{ IsZero() bool }); ok {
		return z.IsZero()
	}
	return v.IsZero()
}

func (w *walker) list(v reflect.Value) {
	if v.Kind() == reflect.Slice && v.IsNil() {
		w.null()
		return
	}
	if v.Type().Elem().Kind() == reflect.Uint8 && v.Kind() == reflect.Slice { // base64
		w.leave(v)
		return
	}
	w.Open('[')
	for i := range v.Len() {
		w.value(v.Index(i))
	}
	w.Close(']')
}

func (w *walker) table(v reflect.Value) {
	if v.IsNil() {
		w.null()
		return
	}
	if v.Type().Key().Kind() != reflect.String || v.Type().Key().NumMethod() > 0 {
		w.leave(v)
		return
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) })
	w.Open('{')
	for _, key := range keys {
		w.Key(key.String())
		w.value(v.MapIndex(key))
	}
	w.Close('}')
}

// Unmarshal is json.Unmarshal for a target that holds nothing yet.
func Unmarshal(data []byte, v any) error {
	target := reflect.ValueOf(v)
	if target.Kind() == reflect.Pointer && !target.IsNil() && target.Elem().IsZero() {
		r, got := Reader{rest: string(data)}, reflect.New(target.Type().Elem()).Elem()
		if r.into(got); r.done() {
			target.Elem().Set(got)
			return nil
		}
	}
	return json.Unmarshal(data, v)
}

// into reads the value that comes next into v.
func (r *Reader) into(v reflect.Value) {
	if v.Kind() == reflect.Pointer {
		if r.null() {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		r.into(v.Elem())
		return
	}
	if t, ok := v.Addr().Interface().(*time.Time); ok {
		*t = r.Time()
		return
	}
	if v.Type().PkgPath() != "" && unmarshals(v) {
		if raw := r.value(); !r.bad && json.Unmarshal([]byte(raw), v.Addr().Interface()) != nil {
			r.bad = true
		}
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(r.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(r.Int(v.Type().Bits()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		v.SetUint(r.Uint(v.Type().Bits()))
	case reflect.String:
		v.SetString(r.Text())
	case reflect.Struct:
		for key := range r.Object() {
			if f := fieldOf(v, key); f.IsValid() {
				r.into(f)
			} else { // unknown, or written in another case
				r.bad = true
			}
		}
	case reflect.Slice:
		r.intoSlice(v)
	case reflect.Array:
		n := 0
		for i := range r.Array() {
			if n++; n > v.Len() {
				r.bad = true
				return
			}
			r.into(v.Index(i))
		}
		r.bad = r.bad || n < v.Len()
	case reflect.Map:
		r.intoMap(v)
	default:
		r.bad = true
	}
}

func unmarshals(v reflect.Value) bool {
	switch v.Addr().Interface().(type) {
	case json.Unmarshaler, interface{ UnmarshalText([]byte) error }:
		return true
	}
	return false
}

// fieldOf finds the field of a struct that a key names.
func fieldOf(v reflect.Value, key string) reflect.Value {
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		name, option := tagOf(f)
		switch {
		case name == "" && f.Anonymous && f.Type.Kind() == reflect.Struct:
			if found := fieldOf(v.Field(i), key); found.IsValid() {
				return found
			}
		case name == "-", !f.IsExported(), option == "string":
		case name != "" && name == key, name == "" && f.Name == key:
			return v.Field(i)
		}
	}
	return reflect.Value{}
}

func (r *Reader) intoSlice(v reflect.Value) {
	if r.null() {
		return
	}
	if v.Type().Elem().Kind() == reflect.Uint8 { // base64
		r.bad = true
		return
	}
	list := reflect.MakeSlice(v.Type(), 0, 0)
	for range r.Array() {
		if r.next() == 'n' {
			r.bad = true
		}
		element := reflect.New(v.Type().Elem()).Elem()
		r.into(element)
		list = reflect.Append(list, element)
	}
	v.Set(list)
}

func (r *Reader) intoMap(v reflect.Value) {
	t := v.Type()
	if t.Key().Kind() != reflect.String || t.Key().PkgPath() != "" && reflect.PointerTo(t.Key()).NumMethod() > 0 {
		r.bad = true
		return
	}
	if r.null() {
		return
	}
	table := reflect.MakeMap(t)
	for key := range r.pairs() {
		element := reflect.New(t.Elem()).Elem()
		r.into(element)
		table.SetMapIndex(reflect.ValueOf(key).Convert(t.Key()), element)
	}
	v.Set(table)
}

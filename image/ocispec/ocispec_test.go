package ocispec

import (
	"encoding/json"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// sameType compares two types by what JSON sees of them.
func sameType(t *testing.T, path string, ours, theirs reflect.Type) {
	t.Helper()
	if ours.Kind() != theirs.Kind() {
		t.Errorf("%s: %v, in the module %v", path, ours, theirs)
		return
	}
	switch ours.Kind() {
	case reflect.Pointer, reflect.Slice:
		sameType(t, path, ours.Elem(), theirs.Elem())
	case reflect.Map:
		sameType(t, path+"[key]", ours.Key(), theirs.Key())
		sameType(t, path+"[]", ours.Elem(), theirs.Elem())
	case reflect.Struct:
		if ours.PkgPath() == "time" {
			return
		}
		if ours.NumField() != theirs.NumField() {
			t.Errorf("%s: %d fields, in the module %d", path, ours.NumField(), theirs.NumField())
			return
		}
		for i := range ours.NumField() {
			a, b := ours.Field(i), theirs.Field(i)
			if a.Name != b.Name || a.Tag != b.Tag || a.Anonymous != b.Anonymous {
				t.Errorf("%s: field %s %q, in the module %s %q", path, a.Name, a.Tag, b.Name, b.Tag)
			}
			sameType(t, path+"."+a.Name, a.Type, b.Type)
		}
	}
}

// documents are pairs of pointers to new values, ours first.
func documents() [][2]any {
	return [][2]any{
		{new(Index), new(v1.Index)},
		{new(Manifest), new(v1.Manifest)},
		{new(Image), new(v1.Image)},
		{new(Descriptor), new(v1.Descriptor)},
		{new(ImageLayout), new(v1.ImageLayout)},
	}
}

func TestTypesAreTheModules(t *testing.T) {
	for _, pair := range documents() {
		ours, theirs := reflect.TypeOf(pair[0]).Elem(), reflect.TypeOf(pair[1]).Elem()
		sameType(t, ours.Name(), ours, theirs)
	}
}

// fill puts something into every field below v; n makes each different.
func fill(t *testing.T, v reflect.Value, n *int) {
	t.Helper()
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString("<" + strconv.Itoa(*n) + " é>")
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8:
		v.SetUint(uint64(*n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0), n)
		fill(t, v.Index(1), n)
	case reflect.Map:
		key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(t, key, n)
		fill(t, elem, n)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, elem)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(int64(*n), 1).UTC()))
			return
		}
		for i := range v.NumField() {
			fill(t, v.Field(i), n)
		}
	default:
		t.Fatalf("a field of type %v", v.Type())
	}
}

// What the module writes, we read and write again to the same bytes: full, as
// it is new, and with what neither knows.
func TestDocumentsGoThereAndBack(t *testing.T) {
	for _, state := range []string{"full", "new"} {
		for _, pair := range documents() {
			ours, theirs := pair[0], pair[1]
			t.Run(state+" "+reflect.TypeOf(ours).Elem().Name(), func(t *testing.T) {
				if n := 0; state == "full" {
					fill(t, reflect.ValueOf(theirs).Elem(), &n)
				}
				want := encode(t, theirs)
				decodeInto(t, want, ours)
				if diff := cmp.Diff(want, encode(t, ours)); diff != "" {
					t.Error(diff)
				}
				again := reflect.New(reflect.TypeOf(theirs).Elem()).Interface()
				decodeInto(t, encode(t, ours), again)
				if !reflect.DeepEqual(theirs, again) {
					t.Errorf("on its way back %+v became %+v", theirs, again)
				}
			})
		}
	}
}

// strange has what encoding/json decides by the types: fields unknown, of other
// case, twice and null.
const strange = `{"unknown":{"a":[1]},"SCHEMAVERSION":2,"mediatype":"a","mediaType":"b","config":null,
	"Config":{"User":"u","OnBuild":["x"],"env":["A=1"]},"manifests":[{"digest":"no digest","extra":1,"platform":null}],
	"layers":[],"annotations":{"k":"v","k":"w"},"os":"linux","rootfs":{"diff_ids":["no digest"]},"data":"eA=="}`

func TestStrangeDocumentsAgree(t *testing.T) {
	for _, pair := range documents() {
		ours, theirs := pair[0], pair[1]
		decodeInto(t, strange, ours)
		decodeInto(t, strange, theirs)
		if diff := cmp.Diff(encode(t, theirs), encode(t, ours)); diff != "" {
			t.Errorf("%T: %s", ours, diff)
		}
	}
	for _, bad := range []string{`{"schemaVersion":"2","size":"1","rootfs":[],"imageLayoutVersion":1}`, `[]`, `"text"`, `{`} {
		for _, pair := range documents() {
			a, b := json.Unmarshal([]byte(bad), pair[0]), json.Unmarshal([]byte(bad), pair[1])
			if (a == nil) != (b == nil) {
				t.Errorf("%T of %s: %v, the module says %v", pair[0], bad, a, b)
			}
		}
	}
}

func encode(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func decodeInto(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatal(err)
	}
}

func TestWordsAreTheModules(t *testing.T) {
	for ours, theirs := range map[string]string{
		MediaTypeImageIndex: v1.MediaTypeImageIndex, MediaTypeImageManifest: v1.MediaTypeImageManifest,
		MediaTypeImageConfig: v1.MediaTypeImageConfig, MediaTypeImageLayer: v1.MediaTypeImageLayer,
		MediaTypeImageLayerGzip: v1.MediaTypeImageLayerGzip, MediaTypeImageLayerZstd: v1.MediaTypeImageLayerZstd,
		ImageLayoutFile: v1.ImageLayoutFile, ImageLayoutVersion: v1.ImageLayoutVersion, AnnotationRefName: v1.AnnotationRefName,
	} {
		if ours != theirs {
			t.Errorf("%q, in the module %q", ours, theirs)
		}
	}
}

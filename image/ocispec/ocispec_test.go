package ocispec

import (
	"reflect"
	"testing"

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

func TestTypesAreTheModules(t *testing.T) {
	for _, pair := range [][2]any{
		{Index{}, v1.Index{}}, {Manifest{}, v1.Manifest{}}, {Image{}, v1.Image{}}, {Descriptor{}, v1.Descriptor{}}, {ImageLayout{}, v1.ImageLayout{}},
	} {
		ours, theirs := reflect.TypeOf(pair[0]), reflect.TypeOf(pair[1])
		sameType(t, ours.Name(), ours, theirs)
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

package storetest

import (
	"bytes"
	"fmt"
	"reflect"
	"time"
)

// diff says where got first differs from want; empty: nowhere. As in the
// contract, nil is the same as empty. Times are compared as instants.
func diff(got, want any) string {
	return diffAt("", reflect.ValueOf(got), reflect.ValueOf(want))
}

func diffAt(path string, got, want reflect.Value) string {
	differ := func() string { return fmt.Sprintf("%s: got %s, want %s", path, show(got), show(want)) }
	if got.IsValid() != want.IsValid() || got.IsValid() && got.Type() != want.Type() {
		return differ()
	}
	if !got.IsValid() {
		return ""
	}
	if got.Type() == reflect.TypeFor[time.Time]() {
		if !got.Interface().(time.Time).Equal(want.Interface().(time.Time)) {
			return differ()
		}
		return ""
	}
	switch got.Kind() {
	case reflect.Struct:
		for i := range got.NumField() {
			if d := diffAt(path+"."+got.Type().Field(i).Name, got.Field(i), want.Field(i)); d != "" {
				return d
			}
		}
		return ""
	case reflect.Slice, reflect.Array:
		return diffList(path, got, want, differ)
	case reflect.Map:
		return diffMap(path, got, want, differ)
	case reflect.Pointer, reflect.Interface:
		return diffAt(path, got.Elem(), want.Elem())
	}
	if !got.Equal(want) {
		return differ()
	}
	return ""
}

func diffList(path string, got, want reflect.Value, differ func() string) string {
	if got.Len() != want.Len() {
		return differ()
	}
	if got.Kind() == reflect.Slice && got.Type().Elem().Kind() == reflect.Uint8 && bytes.Equal(got.Bytes(), want.Bytes()) {
		return ""
	}
	for i := range got.Len() {
		if diffAt("", got.Index(i), want.Index(i)) == "" {
			continue
		}
		switch got.Type().Elem().Kind() {
		case reflect.Struct, reflect.Map, reflect.Slice, reflect.Interface:
			return diffAt(fmt.Sprintf("%s[%d]", path, i), got.Index(i), want.Index(i))
		}
		return differ() // Short values are best seen together.
	}
	return ""
}

func diffMap(path string, got, want reflect.Value, differ func() string) string {
	if got.Len() != want.Len() {
		return differ()
	}
	for _, key := range want.MapKeys() {
		if d := diffAt(fmt.Sprintf("%s[%v]", path, key), got.MapIndex(key), want.MapIndex(key)); d != "" {
			return d
		}
	}
	return ""
}

// show prints a value, cut off where it gets long.
func show(v reflect.Value) string {
	var text string
	switch {
	case !v.IsValid():
		return "nothing"
	case v.Kind() == reflect.String:
		text = fmt.Sprintf("%q", v.String())
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		text = fmt.Sprintf("%q", v.Bytes())
	default:
		text = fmt.Sprintf("%+v", v.Interface())
	}
	if len(text) > 1000 {
		return text[:1000] + "..."
	}
	return text
}

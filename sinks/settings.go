package sinks

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"strconv"
	"strings"

	amcommoncfg "github.com/prometheus/alertmanager/config/common"
	commoncfg "github.com/prometheus/common/config"
)

// settingsOf writes an integration's configuration as JSON, by the Go names
// of its fields, with secrets in the clear: the libraries' own encodings hide them.
// Equal configurations give equal bytes. What a library fills in for itself
// (unexported fields) is left out.
func settingsOf(conf reflect.Value) (json.RawMessage, error) {
	v, err := plain(conf)
	if err != nil {
		return nil, fmt.Errorf("write settings: %w", err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write settings: %w", err)
	}
	return b, nil
}

var urlType = reflect.TypeFor[amcommoncfg.URL]()

// plain turns v into what encoding/json writes as it is.
func plain(v reflect.Value) (any, error) {
	switch v.Type() {
	case plainURLType:
		if v.IsNil() {
			return nil, nil
		}
		return v.Interface().(*url.URL).String(), nil
	case secretURLType, urlType:
		return plain(v.Field(0))
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil, nil
		}
		return plain(v.Elem())
	case reflect.Struct:
		out := map[string]any{}
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if !f.IsExported() || v.Field(i).IsZero() {
				continue
			}
			x, err := plain(v.Field(i))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", f.Name, err)
			}
			out[f.Name] = x
		}
		return out, nil
	case reflect.Slice, reflect.Array:
		out := make([]any, v.Len())
		for i := range out {
			x, err := plain(v.Index(i))
			if err != nil {
				return nil, err
			}
			out[i] = x
		}
		return out, nil
	case reflect.Map:
		out := make(map[string]any, v.Len())
		for it := v.MapRange(); it.Next(); { // order: encoding/json sorts the keys
			x, err := plain(it.Value())
			if err != nil {
				return nil, err
			}
			out[fmt.Sprint(it.Key().Interface())] = x
		}
		return out, nil
	case reflect.String:
		return v.String(), nil
	case reflect.Bool:
		return v.Bool(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return v.Uint(), nil
	case reflect.Float32, reflect.Float64:
		return v.Float(), nil
	}
	return nil, fmt.Errorf("a %s cannot be written", v.Type())
}

// setSettings fills dst, which must be zero, with what settingsOf wrote.
func setSettings(dst reflect.Value, raw json.RawMessage) error {
	if string(raw) == "null" {
		return nil
	}
	switch dst.Type() {
	case plainURLType:
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return err
		}
		u, err := url.Parse(s)
		if err != nil {
			return fmt.Errorf("not a URL") // it may be secret
		}
		dst.Set(reflect.ValueOf(u))
		return nil
	case secretURLType, urlType:
		return setSettings(dst.Field(0), raw)
	}
	switch dst.Kind() {
	case reflect.Pointer:
		dst.Set(reflect.New(dst.Type().Elem()))
		return setSettings(dst.Elem(), raw)
	case reflect.Struct:
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(raw, &fields); err != nil {
			return err
		}
		for name, b := range fields { // order: each sets a field of its own
			f := dst.FieldByName(name)
			if !f.IsValid() || !f.CanSet() {
				return fmt.Errorf("%s has no field %s", dst.Type(), name)
			}
			if err := setSettings(f, b); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	case reflect.Slice:
		var items []json.RawMessage
		if err := json.Unmarshal(raw, &items); err != nil {
			return err
		}
		dst.Set(reflect.MakeSlice(dst.Type(), len(items), len(items)))
		for i, b := range items {
			if err := setSettings(dst.Index(i), b); err != nil {
				return err
			}
		}
		return nil
	case reflect.Map:
		return setMap(dst, raw)
	case reflect.String:
		var s string
		err := json.Unmarshal(raw, &s)
		dst.SetString(s)
		return err
	}
	return setScalar(dst, raw)
}

// setScalar goes by kind: durations and versions have encodings of their own.
func setScalar(dst reflect.Value, raw json.RawMessage) (err error) {
	switch dst.Kind() {
	case reflect.Bool:
		var v bool
		err = json.Unmarshal(raw, &v)
		dst.SetBool(v)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		var v int64
		err = json.Unmarshal(raw, &v)
		dst.SetInt(v)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		var v uint64
		err = json.Unmarshal(raw, &v)
		dst.SetUint(v)
	case reflect.Float32, reflect.Float64:
		var v float64
		err = json.Unmarshal(raw, &v)
		dst.SetFloat(v)
	case reflect.Interface: // what a user wrote, of no type
		var v any
		err = json.Unmarshal(raw, &v)
		dst.Set(reflect.ValueOf(v))
	default:
		err = fmt.Errorf("a %s cannot be read", dst.Type())
	}
	return err
}

func setMap(dst reflect.Value, raw json.RawMessage) error {
	var items map[string]json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return err
	}
	dst.Set(reflect.MakeMapWithSize(dst.Type(), len(items)))
	for k, b := range items { // order: each sets an entry of its own
		v := reflect.New(dst.Type().Elem()).Elem()
		if err := setSettings(v, b); err != nil {
			return fmt.Errorf("%s: %w", k, err)
		}
		dst.SetMapIndex(reflect.ValueOf(k).Convert(dst.Type().Key()), v)
	}
	return nil
}

// filed reports whether a configuration names files of its own: those say where
// it goes. Those below http_config only say who calls; tokens there are
// exchanged all the time, and whoever sends reads them anew.
func filed(conf reflect.Value) bool {
	found := false
	eachFile(conf, func(reflect.Value, reflect.Value) { found = true })
	return found
}

// withFiles is a copy of conf in which what its files hold now stands in their
// place. A file that cannot be read, or whose content is no value, stays a name:
// the notifier will say what is wrong with it.
func withFiles(conf reflect.Value) reflect.Value {
	c := reflect.New(conf.Type().Elem())
	c.Elem().Set(conf.Elem())
	eachFile(c, func(name, value reflect.Value) {
		b, err := os.ReadFile(name.String())
		if s := strings.TrimSpace(string(b)); err == nil && s != "" && !strings.Contains(s, "{{") && setText(value, s) {
			name.SetString("")
		}
	})
	return c
}

// eachFile visits the fields of conf that name a file, each with the field that
// can hold the value itself.
func eachFile(conf reflect.Value, visit func(name, value reflect.Value)) {
	s := conf.Elem()
	for i := range s.NumField() {
		f := s.Type().Field(i)
		name, ok := strings.CutSuffix(f.Name, "File")
		if !ok || f.Type.Kind() != reflect.String || s.Field(i).String() == "" {
			continue
		}
		if value := s.FieldByName(name); value.IsValid() {
			visit(s.Field(i), value)
		}
	}
}

// setText sets a field to what a file says, and reports whether it can be that.
func setText(value reflect.Value, text string) bool {
	switch value.Type() {
	case reflect.TypeFor[*amcommoncfg.SecretURL]():
		u, err := url.Parse(text)
		if err == nil {
			value.Set(reflect.ValueOf(&amcommoncfg.SecretURL{URL: u}))
		}
		return err == nil
	case reflect.TypeFor[*amcommoncfg.URL]():
		u, err := url.Parse(text)
		if err == nil {
			value.Set(reflect.ValueOf(&amcommoncfg.URL{URL: u}))
		}
		return err == nil
	case reflect.TypeFor[*commoncfg.Secret]():
		s := commoncfg.Secret(text)
		value.Set(reflect.ValueOf(&s))
		return true
	}
	switch value.Kind() {
	case reflect.String:
		value.SetString(text)
		return true
	case reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		value.SetInt(n)
		return err == nil
	}
	return false
}

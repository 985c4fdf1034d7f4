package config

import (
	"path/filepath"
	"reflect"
	"strings"
)

// namesPath tells by its key whether a text is a path. Alertmanager resolves
// only those below http_config and templates: not the global block's, not what
// stands beside http_config (api_url_file, routing_key_file, ...), not email's
// tls_config, not tracing, not incident.io, not a client certificate of OAuth 2.
func namesPath(key string) bool {
	return strings.HasSuffix(key, "_file") || key == "path"
}

func namesPaths(key string) bool {
	return key == "templates" || key == "files" || key == "catalog"
}

// resolvePaths joins every relative path in v with dir. The directory is
// absolute, so a value that is reached twice is not joined twice.
func resolvePaths(v reflect.Value, dir string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			resolvePaths(v.Elem(), dir)
		}
	case reflect.Slice:
		for i := range v.Len() {
			resolvePaths(v.Index(i), dir)
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			resolvePaths(it.Value(), dir) // lists in it are shared, so they can be changed
		}
	case reflect.Struct:
		for i := range v.NumField() {
			resolveField(v.Type().Field(i), v.Field(i), dir)
		}
	}
}

func resolveField(f reflect.StructField, v reflect.Value, dir string) {
	key, _ := fieldKey(f)
	switch {
	case !f.IsExported() || key == "":
	case v.Kind() == reflect.String && namesPath(key) && v.CanSet():
		v.SetString(join(dir, v.String()))
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.String && namesPaths(key):
		for i := range v.Len() {
			v.Index(i).SetString(join(dir, v.Index(i).String()))
		}
	default:
		resolvePaths(v, dir)
	}
}

func join(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

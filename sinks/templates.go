package sinks

import (
	"fmt"
	"reflect"
	"strings"
	tmpltext "text/template"

	"github.com/prometheus/alertmanager/template"
	commoncfg "github.com/prometheus/common/config"
)

// checkTemplates looks for a template in an integration's settings that no page
// could be written with, since it cannot be parsed. Alertmanager finds that only
// when it sends. What is right and cannot be rendered, or names a template that
// is not there, is not found here.
func checkTemplates(v reflect.Value, path string) error {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			return checkTemplates(v.Elem(), path)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[commoncfg.HTTPClientConfig]() {
			return nil // none of it is a template
		}
		for i := range v.NumField() {
			f := v.Type().Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if !f.IsExported() {
				continue
			}
			if err := checkTemplates(v.Field(i), strings.TrimPrefix(path+"."+name, ".")); err != nil {
				return err
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			if err := checkTemplates(v.Index(i), fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			if err := checkTemplates(it.Value(), fmt.Sprintf("%s.%v", path, it.Key())); err != nil {
				return err
			}
		}
	case reflect.String:
		// Secrets have types of their own.
		if v.Type() == reflect.TypeFor[string]() && strings.Contains(v.String(), "{{") {
			return checkTemplate(v.String(), path)
		}
	}
	return nil
}

func checkTemplate(text, path string) error {
	routeLabels := func(string) (string, error) { return "", nil } // as it is called when a page is written
	_, err := tmpltext.New("").Funcs(tmpltext.FuncMap(template.DefaultFuncs)).Funcs(tmpltext.FuncMap{"routeLabels": routeLabels}).Parse(text)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

package sinks

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	amcommoncfg "github.com/prometheus/alertmanager/config/common"
	commoncfg "github.com/prometheus/common/config"
)

const (
	redacted = "<secret>"
	// minSecretBytes: to strike out every "a" would hide the error and show the
	// secret.
	minSecretBytes = 4
	// minPartBytes keeps parts of a secret URL that are words of everyday use
	// ("hooks", "api") readable.
	minPartBytes = 8
	// maxSecretFileBytes bounds what is read of a *_file.
	maxSecretFileBytes = 64 << 10
	// maxErrorBytes bounds an error's text; a provider may answer with a page.
	maxErrorBytes = 1 << 10
)

// redactor knows the secrets of a configuration and takes them out of texts.
type redactor struct {
	secrets map[string]bool
	files   map[string]bool
	fixed   *strings.Replacer
}

// newRedactor collects the secrets that the given configurations hold: values
// of the types for secrets, user names and passwords in URLs, the paths and
// queries of secret URLs, and what stands in files that fields name.
func newRedactor(configs ...any) *redactor {
	r := &redactor{secrets: map[string]bool{}, files: map[string]bool{}}
	for _, c := range configs {
		r.walk(reflect.ValueOf(c), "")
	}
	r.readFiles(r.secrets)
	r.fixed = replacer(r.secrets)
	return r
}

// text takes every secret out of s. Files are read anew: they may have changed
// since the configuration was loaded, and the notifiers read them anew too.
func (r *redactor) text(s string) string {
	if len(r.files) == 0 {
		return r.fixed.Replace(s)
	}
	now := map[string]bool{}
	r.readFiles(now)
	return replacer(now).Replace(r.fixed.Replace(s))
}

// error is err's text without secrets, on one line, at most maxErrorBytes long.
// The chain is not kept: whoever printed a part of it would print the secret.
func (r *redactor) error(err error) string {
	s := err.Error()
	// A URL that a template made may hold what no list of secrets knows.
	if u, ok := errors.AsType[*url.Error](err); ok {
		for _, form := range []string{u.URL, quoted(u.URL)} {
			if strings.Contains(form, "://") {
				s = strings.ReplaceAll(s, form, hostOnly(u.URL))
			}
		}
	}
	return cut(Clean(r.text(s)), maxErrorBytes)
}

func hostOnly(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return redacted
	}
	return u.Scheme + "://" + u.Host
}

var (
	secretType    = reflect.TypeFor[commoncfg.Secret]()
	secretURLType = reflect.TypeFor[amcommoncfg.SecretURL]()
	templateType  = reflect.TypeFor[amcommoncfg.SecretTemplateURL]()
	basicAuthType = reflect.TypeFor[commoncfg.BasicAuth]()
	plainURLType  = reflect.TypeFor[*url.URL]()
)

func (r *redactor) walk(v reflect.Value, field string) {
	if !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return
	}
	switch v.Type() {
	case secretType:
		r.add(v.String())
		return
	case templateType:
		r.addURL(v.String())
		return
	case secretURLType:
		if u := v.Interface().(amcommoncfg.SecretURL).URL; u != nil {
			r.addURL(u.String())
		}
		return
	case plainURLType:
		r.addCredentials(v.Interface().(*url.URL))
		return
	case basicAuthType:
		b := v.Interface().(commoncfg.BasicAuth)
		r.add(base64.StdEncoding.EncodeToString([]byte(b.Username + ":" + string(b.Password))))
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		r.walk(v.Elem(), field)
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				r.walk(v.Field(i), f.Name)
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			r.walk(v.Index(i), field)
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			r.walk(it.Value(), field)
		}
	case reflect.String:
		secretFile := strings.HasSuffix(field, "File") && field != "CAFile" && field != "CertFile" || field == "Files"
		if secretFile && v.String() != "" {
			r.files[v.String()] = true
		}
	}
}

// addURL adds all of a secret URL but its scheme and host, which an error may
// name.
func (r *redactor) addURL(s string) {
	if strings.Contains(s, "{{") {
		r.addTemplate(s)
		return
	}
	u, err := url.Parse(s)
	if err != nil {
		r.add(s)
		return
	}
	r.addCredentials(u)
	for _, path := range []string{u.Path, u.EscapedPath()} {
		r.add(path)
		for part := range strings.SplitSeq(path, "/") {
			r.addPart(part)
		}
	}
	r.add(u.RawQuery)
	r.add(u.Fragment)
}

// addTemplate adds what stands between the actions of a templated URL, from the
// end of the host on.
func (r *redactor) addTemplate(s string) {
	if _, after, ok := strings.Cut(s, "://"); ok {
		s = after
	}
	inPath := false
	for more := true; more; {
		var text string
		text, s, more = strings.Cut(s, "{{")
		if _, after, ok := strings.Cut(text, "/"); ok && !inPath {
			text, inPath = after, true
		}
		if inPath {
			r.addPart(text)
		}
		_, s, _ = strings.Cut(s, "}}")
	}
}

// addCredentials adds what a URL that is no secret as a whole may still hold.
func (r *redactor) addCredentials(u *url.URL) {
	if u == nil {
		return
	}
	if password, ok := u.User.Password(); ok {
		r.add(password)
		r.add(u.User.String())
	} else if u.User != nil {
		r.add(u.User.Username())
	}
	for _, values := range u.Query() {
		for _, v := range values {
			r.addPart(v)
		}
	}
}

func (r *redactor) addPart(s string) {
	if len(s) >= minPartBytes {
		r.add(s)
	}
}

func (r *redactor) add(s string) { addForms(r.secrets, s) }

// addForms adds s as it is and as it looks when others have escaped it.
func addForms(set map[string]bool, s string) {
	s = strings.TrimSpace(s)
	if len(s) < minSecretBytes || s == redacted {
		return
	}
	set[s] = true
	set[url.QueryEscape(s)] = true
	set[url.PathEscape(s)] = true
	set[(&url.URL{Path: s}).EscapedPath()] = true
	set[quoted(s)] = true
	set[base64.StdEncoding.EncodeToString([]byte(s))] = true
	if b, err := json.Marshal(s); err == nil {
		set[string(b[1:len(b)-1])] = true
	}
}

func quoted(s string) string {
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}

// readFiles adds what the files hold now. One that cannot be read holds
// nothing that an attempt could have sent.
func (r *redactor) readFiles(set map[string]bool) {
	for name := range r.files {
		f, err := os.Open(name)
		if err != nil {
			continue
		}
		b, err := io.ReadAll(io.LimitReader(f, maxSecretFileBytes))
		_ = f.Close()
		if err != nil {
			continue
		}
		s := strings.TrimSpace(string(b))
		addForms(set, s)
		if u, err := url.Parse(s); err == nil && u.Host != "" {
			part := &redactor{secrets: set}
			part.addURL(s)
		}
	}
}

// replacer takes the longest match first, so that no rest of a longer secret
// is left beside a shorter one.
func replacer(set map[string]bool) *strings.Replacer {
	all := make([]string, 0, len(set))
	for s := range set {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	pairs := make([]string, 0, 2*len(all))
	for _, s := range all {
		pairs = append(pairs, s, redacted)
	}
	return strings.NewReplacer(pairs...)
}

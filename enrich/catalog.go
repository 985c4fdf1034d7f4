package enrich

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Limits of a catalogue.
const (
	MaxCatalogFiles     = 10_000
	MaxCatalogFileBytes = 4 << 20
	maxCatalogErrors    = 20 // listed; the rest is counted
)

// entry is what the catalogue says of one service (Backstage's Component) or
// of the System it belongs to.
type entry struct {
	kind, name string
	at         string // file:line of the document

	owner     string
	tier      string
	lifecycle string
	system    string
	runbook   string
	dashboard string
	links     []Link
}

// catalog finds entries by exact name. It does not change once loaded.
type catalog struct {
	byName map[string]*entry
}

func (c *catalog) find(name string) *entry {
	if name == "" {
		return nil
	}
	return c.byName[name]
}

// loadCatalog reads all documents. It is strict: one that cannot be read
// fails the whole, with a line for each fault, because a page without its
// owner is noticed at the worst of times.
func loadCatalog(paths []string) (*catalog, error) {
	files, err := catalogFiles(paths)
	if err != nil {
		return nil, err
	}
	var all []*entry
	var errs []error
	for _, file := range files {
		src, err := readBounded(file)
		if err != nil {
			errs = append(errs, fmt.Errorf("enrich.catalog: reading %s: %w", file, err))
			continue
		}
		entries, faults := parseCatalog(file, src)
		all, errs = append(all, entries...), append(errs, faults...)
	}
	c, faults := indexCatalog(all)
	errs = append(errs, faults...)
	if n := len(errs); n > maxCatalogErrors {
		errs = append(errs[:maxCatalogErrors], fmt.Errorf("enrich.catalog: and %d more", n-maxCatalogErrors))
	}
	return c, errors.Join(errs...)
}

// catalogFiles resolves files, directories and globs to a sorted list.
func catalogFiles(paths []string) ([]string, error) {
	var files []string
	for i, path := range paths {
		matches := []string{path}
		if strings.ContainsAny(path, "*?[") {
			var err error
			if matches, err = filepath.Glob(path); err != nil {
				return nil, fmt.Errorf("enrich.catalog[%d]: glob %q: %w", i, path, err)
			}
			if len(matches) == 0 {
				return nil, fmt.Errorf("enrich.catalog[%d]: glob %q matches no file", i, path)
			}
		}
		for _, m := range matches {
			found, err := underPath(m)
			if err != nil {
				return nil, fmt.Errorf("enrich.catalog[%d]: %w", i, err)
			}
			files = append(files, found...)
		}
		if len(files) > MaxCatalogFiles {
			return nil, fmt.Errorf("enrich.catalog[%d]: %d files, at most %d", i, len(files), MaxCatalogFiles)
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

func underPath(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	var files []string
	err = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != path && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir // .git, and the ..data of a mounted ConfigMap, whose files stand beside it too
		case !d.IsDir() && (d.Name() == "catalog-info.yaml" || d.Name() == "catalog-info.yml"):
			files = append(files, p)
		}
		if len(files) > MaxCatalogFiles {
			return fmt.Errorf("directory %s: more than %d files", path, MaxCatalogFiles)
		}
		return nil
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("directory %s: no catalog-info.yaml in it; files of other names need a glob, as %s", path, filepath.Join(path, "*.yaml"))
	}
	return files, err
}

func readBounded(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	src, err := io.ReadAll(io.LimitReader(f, MaxCatalogFileBytes+1))
	if err == nil && len(src) > MaxCatalogFileBytes {
		err = fmt.Errorf("more than %d bytes", MaxCatalogFileBytes)
	}
	return src, err
}

// parseCatalog reads the documents of one file.
func parseCatalog(file string, src []byte) (out []*entry, errs []error) {
	loader, err := yaml.NewLoader(bytes.NewReader(src))
	if err != nil {
		return nil, []error{fmt.Errorf("%s: %w", file, err)}
	}
	for {
		var doc yaml.Node
		err := loader.Load(&doc)
		if err == io.EOF {
			return out, errs
		}
		if err != nil { // what follows in the file cannot be told apart
			return out, append(errs, located(file, 0, err)...)
		}
		if len(doc.Content) == 0 || doc.Content[0].Tag == "!!null" {
			continue // nothing between two separators
		}
		line := doc.Content[0].Line
		e, err := parseDocument(&doc)
		if err != nil {
			errs = append(errs, located(file, line, err)...)
		} else if e != nil {
			e.at = fmt.Sprintf("%s:%d", file, line)
			out = append(out, e)
		}
	}
}

// located puts file:line before each fault in err; line where it has none.
func located(file string, line int, err error) []error {
	if all, ok := errors.AsType[*yaml.LoadErrors](err); ok {
		out := make([]error, 0, len(all.Errors))
		for _, one := range all.Errors {
			out = append(out, fmt.Errorf("%s:%d: %s", file, one.Mark.Line, one.Message))
		}
		return out
	}
	if one, ok := errors.AsType[*yaml.LoadError](err); ok {
		return []error{fmt.Errorf("%s:%d: %s", file, one.Mark.Line, one.Message)}
	}
	return []error{fmt.Errorf("%s:%d: %w", file, line, err)}
}

// indexCatalog lets systems stand in for what their components leave out.
func indexCatalog(all []*entry) (*catalog, []error) {
	components, systems := map[string]*entry{}, map[string]*entry{}
	var errs []error
	for _, e := range all {
		of := components
		if e.kind == "System" {
			of = systems
		}
		if first := of[e.name]; first != nil {
			errs = append(errs, fmt.Errorf("%s: %s %q stands at %s already; alerts carry no catalogue namespace, so a name must be unique", e.at, e.kind, e.name, first.at))
			continue
		}
		of[e.name] = e
	}
	for _, e := range components {
		if s := systems[e.system]; s != nil {
			e.owner, e.tier = first(e.owner, s.owner), first(e.tier, s.tier)
			e.runbook, e.dashboard = first(e.runbook, s.runbook), first(e.dashboard, s.dashboard)
		}
	}
	maps.Copy(systems, components) // a component wins over a system of its name
	return &catalog{byName: systems}, errs
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A mutant is a bug to be planted.
type mutant struct {
	name   string
	breaks string // the promise that it breaks
	edit
	also []edit // what has to change with it

	pkg   string // the package of the cheapest tests that must find it
	tests string // their names
}

// edit replaces a text that stands in a file just once.
type edit struct{ file, old, with string }

func all() []mutant {
	return slices.Concat(ofTheLog, ofTheNumbers, ofTheWriter, ofTheCore, ofTheEngine, ofTheSinks, ofTheDoors, ofTheNode)
}

// edits lists all that it changes.
func (m *mutant) edits() []edit { return append([]edit{m.edit}, m.also...) }

// changed returns the files of the tree in root as the mutant has them.
func (m *mutant) changed(root string) (map[string]string, error) {
	out := map[string]string{}
	for _, e := range m.edits() {
		text, ok := out[e.file]
		if !ok {
			b, err := os.ReadFile(filepath.Join(root, e.file))
			if err != nil {
				return nil, fmt.Errorf("mutant %s: %w", m.name, err)
			}
			text = string(b)
		}
		if n := strings.Count(text, e.old); n != 1 {
			return nil, fmt.Errorf("mutant %s: %s holds %d times, want once:\n%s", m.name, e.file, n, e.old)
		}
		out[e.file] = strings.Replace(text, e.old, e.with, 1)
	}
	return out, nil
}

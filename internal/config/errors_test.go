package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the goldens in testdata")

// TestErrors prints what is wrong with each file of testdata/errors.
func TestErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/errors/*.txtar")
	if err != nil || len(files) < 25 {
		t.Fatalf("%d files with mistakes, want at least 25 (%v)", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Parse("config.yml", ar.Files[0].Data)
			es, ok := errors.AsType[*Errors](err)
			if !ok {
				t.Fatalf("got %v, want *Errors", err)
			}
			got := es.Error() + "\n"
			for _, s := range []string{"hunter2", "verysecret", "0123456789abcdef"} {
				if strings.Contains(got, s) {
					t.Errorf("a secret is shown:\n%s", got)
				}
			}
			if *update {
				ar.Files[1].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want := string(ar.Files[1].Data); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if !slices.IsSortedFunc(*es, func(a, b Error) int { return a.Line - b.Line }) {
				t.Error("the errors are not in the file's order")
			}
		})
	}
}

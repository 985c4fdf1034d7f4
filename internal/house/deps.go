package house

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// DepsPath is the checked-in list of the modules that the binary is made of.
const DepsPath = "docs/deps.txt"

const (
	binary     = "cmd/winnow"
	depsHeader = "# Modules linked into " + binary + " on linux/amd64.\n# Rewritten by: go test ./internal/house -update\n"
)

// Linked asks the go command in root which modules are linked into the binary,
// for one platform, so that every machine gets the same answer.
func Linked(ctx context.Context, root string) ([]string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-deps",
		"-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{end}}{{end}}", "./"+binary)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the modules of ./%s: %w: %s", binary, err, bytes.TrimSpace(stderr.Bytes()))
	}
	lines := strings.Split(strings.TrimSpace(string(stdout)), "\n")
	slices.Sort(lines)
	return slices.Compact(slices.DeleteFunc(lines, func(l string) bool { return l == "" })), nil
}

// DepsFile writes what DepsPath should hold.
func DepsFile(linked []string) string {
	return depsHeader + strings.Join(linked, "\n") + "\n"
}

// Deps compares DepsPath with what is linked, so that a new dependency is a
// line in somebody's review.
func Deps(t *Tree, linked []string) []Finding {
	const (
		why = "what the binary is made of is reviewed line by line"
		do  = "if that is meant, run: go test ./internal/house -update"
	)
	if !t.Exists(DepsPath) {
		return []Finding{{DepsPath, "is not there", why, do}}
	}
	var listed []string
	for _, x := range t.Texts {
		if x.Path == DepsPath {
			listed = strings.Split(strings.TrimSpace(strings.TrimPrefix(x.Body, depsHeader)), "\n")
		}
	}
	var out []Finding
	for _, m := range linked {
		if !slices.Contains(listed, m) {
			out = append(out, Finding{DepsPath, m + " is linked but not listed", why, do})
		}
	}
	for _, m := range listed {
		if !slices.Contains(linked, m) {
			out = append(out, Finding{DepsPath, m + " is listed but not linked", why, do})
		}
	}
	return out
}

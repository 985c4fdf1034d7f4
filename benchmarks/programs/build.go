// Package programs builds the programs that are measured and tested, and reads
// what a process says.
//
// It decides how each is built and where an Alertmanager of its own is kept. It
// judges nothing of what a program does.
package programs

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// AlertmanagerVersion is the one that Winnow is measured beside.
const AlertmanagerVersion = "v0.34.2"

// Root is the folder of the main module, of which dir is a part.
func Root(ctx context.Context) (string, error) {
	out, err := Capture(ctx, "", "go", "list", "-m", "-f", "{{.Dir}}", "github.com/winnowhq/winnow")
	return strings.TrimSpace(out), err
}

// BuildWinnow builds the working tree at root into a file below dir.
func BuildWinnow(ctx context.Context, root, dir string, flags ...string) (string, error) {
	path := filepath.Join(dir, "winnow")
	args := append([]string{"build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", path}, flags...)
	_, err := Capture(ctx, root, "go", append(args, "./cmd/winnow")...)
	return path, err
}

// profilesSource serves package pprof's profiles at the address that the
// environment names.
//
//go:embed testdata/profiles.go.txt
var profilesSource []byte

// ProfilesEnv names the environment variable with the address of the profiles,
// for a Winnow of BuildProfiled.
const ProfilesEnv = "WINNOW_PROFILES_ADDRESS"

// BuildProfiled builds Winnow with one file more, which serves profiles. The
// program that people run has no such door.
func BuildProfiled(ctx context.Context, root, dir string) (string, error) {
	source, overlay := filepath.Join(dir, "profiles.go"), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(source, profilesSource, 0o644); err != nil {
		return "", err
	}
	b, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root, "cmd/winnow/profiles.go"): source}})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(overlay, b, 0o644); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "winnow-profiled")
	_, err = Capture(ctx, root, "go", "build", "-buildvcs=false", "-overlay", overlay, "-o", path, "./cmd/winnow")
	return path, err
}

// BuildAlertmanager builds Alertmanager from its module, as a copy: the module
// itself lacks the built user interface, which the program embeds. It is in the
// user's cache and serves the next run too; it appears there whole or not at all.
func BuildAlertmanager(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "winnow-e2e")
	dir := filepath.Join(cache, "alertmanager-"+AlertmanagerVersion+"-bin")
	program := filepath.Join(dir, "alertmanager")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	scratch, err := os.MkdirTemp(cache, "build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(scratch)
	src, bin := filepath.Join(scratch, "src"), filepath.Join(scratch, "bin")
	if err := unpackAlertmanager(ctx, src); err != nil {
		return "", err
	}
	version := "-X github.com/prometheus/common/version.Version=" + strings.TrimPrefix(AlertmanagerVersion, "v")
	if _, err := Capture(ctx, src, "go", "build", "-buildvcs=false", "-ldflags", version, "-o", bin+"/", "./cmd/alertmanager", "./cmd/amtool"); err != nil {
		return "", err
	}
	if err := os.Rename(bin, dir); err != nil && !errors.Is(err, fs.ErrExist) { // another run was faster
		return "", err
	}
	return program, nil
}

// unpackAlertmanager copies the module, with a page for a user interface.
func unpackAlertmanager(ctx context.Context, src string) error {
	out, err := Capture(ctx, "", "go", "mod", "download", "-json", "github.com/prometheus/alertmanager@"+AlertmanagerVersion)
	if err != nil {
		return err
	}
	var module struct{ Dir string }
	if err := json.Unmarshal([]byte(out), &module); err != nil {
		return fmt.Errorf("go mod download: %w", err)
	}
	if err := copyTree(src, module.Dir); err != nil {
		return err
	}
	page := filepath.Join(src, "ui", "app", "dist", "index.html")
	if err := os.MkdirAll(filepath.Dir(page), 0o755); err != nil {
		return err
	}
	return os.WriteFile(page, []byte("<!doctype html><title>Alertmanager</title>\n"), 0o644)
}

// copyTree copies files and makes them writable, which a module's are not.
func copyTree(to, from string) error {
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if e.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o644)
	})
}

// Capture runs a program in dir to its end and returns its standard output.
func Capture(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String(), nil
}

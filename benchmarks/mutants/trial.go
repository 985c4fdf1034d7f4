package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// trial runs tests of the tree in root.
type trial struct {
	root  string
	dir   string // for what is written
	limit time.Duration
}

// event is one line of go test -json.
type event struct {
	Action string
	Test   string
	Output string
}

// outcome is what became of the tests of a package.
type outcome struct {
	passed map[string]bool
	failed string        // the first test that failed
	after  time.Duration // when it did
	said   string        // the first line of what it said
	output []byte        // all that was written, for a list that is at fault
}

// asItStands holds that every test that is to find something passes with the
// code as it is, and is there.
func (t *trial) asItStands(ctx context.Context, list []mutant) error {
	wanted := map[string][]string{}
	for i := range list {
		m := &list[i]
		for name := range strings.FieldsSeq(m.tests) {
			if !slices.Contains(wanted[m.pkg], name) {
				wanted[m.pkg] = append(wanted[m.pkg], name)
			}
		}
	}
	var short error
	for _, pkg := range slices.Sorted(maps.Keys(wanted)) {
		began := time.Now()
		o, err := t.test(ctx, pkg, wanted[pkg], "", time.Duration(len(wanted[pkg]))*t.limit)
		if err != nil {
			return err
		}
		for _, name := range wanted[pkg] {
			if !o.passed[name] {
				short = errors.Join(short, fmt.Errorf("%s of %s does not pass as the code stands: it can find nothing", name, pkg))
			}
		}
		if o.failed != "" || short != nil {
			return errors.Join(short, fmt.Errorf("%s: %s", pkg, tail(o.output)))
		}
		fmt.Printf("passes %-44s %6.1fs  %d tests\n", pkg, time.Since(began).Seconds(), len(wanted[pkg]))
	}
	return nil
}

// plant tries one mutant and returns the test that found it. An error says that
// none did.
func (t *trial) plant(ctx context.Context, m *mutant) (by string, took time.Duration, err error) {
	began := time.Now()
	overlay, err := t.overlay(m)
	if err != nil {
		return "", 0, err
	}
	o, err := t.test(ctx, m.pkg, strings.Fields(m.tests), overlay, t.limit)
	took = time.Since(began)
	switch {
	case err != nil:
		return "", took, err
	case o.failed == "" && len(o.passed) == 0:
		return "", took, fmt.Errorf("no test has run: %s", tail(o.output))
	case o.failed == "":
		return "", took, errors.New("its tests pass")
	}
	return o.failed + ": " + o.said, o.after, nil
}

// overlay writes what the mutant changes, and the list that go test reads.
func (t *trial) overlay(m *mutant) (string, error) {
	files, err := m.changed(t.root)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(t.dir, m.name)
	replace := map[string]string{}
	for file, text := range files {
		to := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return "", err
		}
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(t.root, file)] = to
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, b, 0o600)
}

// test runs tests of a package.
func (t *trial) test(ctx context.Context, pkg string, names []string, overlay string, limit time.Duration) (*outcome, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("its tests did not end within %s", limit))
	defer cancel()
	args := []string{"test", "-json", "-count=1", "-vet=off", "-failfast", "-timeout", limit.String(), "-run", "^(" + strings.Join(names, "|") + ")$"}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	args = append(args, "./"+pkg)
	rapid, err := t.usesRapid(pkg)
	if err != nil {
		return nil, err
	}
	if rapid {
		args = append(args, "-rapid.nofailfile") // it would write into the tree
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = t.root
	cmd.Env = append(os.Environ(), "TMPDIR="+t.dir)
	// The test's own process would outlive the one that started it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	o := read(out, began)
	err = cmd.Wait()
	o.output = append(o.output, errs.Bytes()...)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("go test %s: %w", pkg, context.Cause(ctx))
	}
	if failed := new(exec.ExitError); err != nil && !errors.As(err, &failed) {
		return nil, fmt.Errorf("go test %s: %w", pkg, err)
	}
	if err != nil && o.failed == "" {
		return nil, fmt.Errorf("go test %s fails, but no test of it does: %s", pkg, tail(o.output))
	}
	return o, nil
}

// usesRapid reports whether tests of a package do.
func (t *trial) usesRapid(pkg string) (bool, error) {
	files, err := filepath.Glob(filepath.Join(t.root, pkg, "*_test.go"))
	for _, file := range files {
		b, readErr := os.ReadFile(file)
		if readErr != nil {
			return false, readErr
		}
		if bytes.Contains(b, []byte(`"pgregory.net/rapid"`)) {
			return true, nil
		}
	}
	return false, err
}

// read takes down what go test -json says.
func read(r io.Reader, began time.Time) *outcome {
	o := &outcome{passed: map[string]bool{}}
	said := map[string]string{}
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil && len(line) == 0 {
			return o
		}
		var e event
		if json.Unmarshal(line, &e) != nil {
			o.output = append(o.output, line...)
			continue
		}
		name, _, _ := strings.Cut(e.Test, "/")
		switch {
		case e.Action == "output" || e.Action == "build-output":
			o.output = append(o.output, e.Output...)
			if text := words(e.Output); text != "" && said[name] == "" {
				said[name] = text
			}
		case e.Action == "pass" && e.Test != "":
			o.passed[e.Test] = true
		case e.Action == "fail" && e.Test != "" && o.failed == "":
			o.failed, o.after, o.said = name, time.Since(began), said[name]
		}
	}
}

// words is what a test says in a line of its output; nothing where the line is
// go test's own.
func words(line string) string {
	line = strings.TrimSpace(line)
	for _, own := range []string{"=== ", "--- ", "PASS", "FAIL", "ok "} {
		if strings.HasPrefix(line, own) {
			return ""
		}
	}
	const most = 160
	if len(line) > most {
		line = strings.ToValidUTF8(line[:most], "") + "…"
	}
	return line
}

// tail is the end of an output.
func tail(b []byte) string {
	const most = 2000
	return string(bytes.ToValidUTF8(bytes.TrimSpace(b[max(0, len(b)-most):]), nil))
}

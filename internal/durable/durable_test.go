package durable

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// recorder is a real folder that notes what is asked of it, and breaks at a step.
type recorder struct {
	steps []string
	fail  string
}

func (r *recorder) step(s string) error {
	r.steps = append(r.steps, s)
	if s == r.fail {
		return errors.New("the disk says no")
	}
	return nil
}

type recorded struct {
	*os.File
	r    *recorder
	what string
}

func (f *recorded) Write(b []byte) (int, error) {
	if err := f.r.step("write " + f.what); err != nil {
		return 0, err
	}
	return f.File.Write(b)
}

func (f *recorded) Sync() error {
	return errors.Join(f.r.step("sync "+f.what), f.File.Sync())
}

func (f *recorded) Close() error {
	return errors.Join(f.r.step("close "+f.what), f.File.Close())
}

func (r *recorder) disk() disk {
	open := func(name string, f *os.File, err error) (file, error) {
		if err != nil {
			return nil, err
		}
		return &recorded{f, r, filepath.Base(name)}, nil
	}
	return disk{
		create: func(name string) (file, error) { f, err := os.Create(name); return open(name, f, err) },
		open:   func(name string) (file, error) { f, err := os.Open(name); return open("folder", f, err) },
		rename: func(from, to string) error {
			return errors.Join(r.step("rename"), os.Rename(from, to))
		},
	}
}

func TestOrder(t *testing.T) {
	dir := t.TempDir()
	r := &recorder{}
	name := filepath.Join(dir, "f")
	if err := r.disk().writeFile(name, []byte("new"), func() { _ = r.step("synced") }); err != nil {
		t.Fatal(err)
	}
	want := []string{"write f.tmp", "sync f.tmp", "close f.tmp", "synced", "rename", "sync folder", "close folder"}
	if !slices.Equal(r.steps, want) {
		t.Errorf("steps\n%s\nwant\n%s", strings.Join(r.steps, ", "), strings.Join(want, ", "))
	}
	if b, err := os.ReadFile(name); err != nil || string(b) != "new" {
		t.Errorf("it holds %q, %v", b, err)
	}
}

// TestFailureLeavesTheOldFile has each step up to the new name fail.
func TestFailureLeavesTheOldFile(t *testing.T) {
	for _, fail := range []string{"write f.tmp", "sync f.tmp", "close f.tmp"} {
		dir := t.TempDir()
		name := filepath.Join(dir, "f")
		if err := WriteFile(name, []byte("old"), nil); err != nil {
			t.Fatal(err)
		}
		r := &recorder{fail: fail}
		if err := r.disk().writeFile(name, []byte("new"), nil); err == nil {
			t.Errorf("%s failed, and nobody heard of it", fail)
		}
		if b, err := os.ReadFile(name); err != nil || string(b) != "old" {
			t.Errorf("after %s failed it holds %q, %v", fail, b, err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*"+Suffix)); len(left) != 0 {
			t.Errorf("after %s failed %v is left", fail, left)
		}
	}
}

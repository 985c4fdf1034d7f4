// Package durable puts small files on disk so that they outlive a loss of power.
//
// It decides in which order a file, its name and its folder are synced, so that
// a file is there whole or not at all. It never decides what is in one, and
// writes nothing that may be lost: for that the packages above need no help.
package durable

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// Suffix is what the name of a file ends in until it is whole. One that is left
// behind by a crash is worth nothing: the next WriteFile of that name takes its
// place, and where names change their owner removes it.
const Suffix = ".tmp"

// WriteFile puts b in the place of name at once: after it has returned without
// an error, a loss of power leaves b there, and before that what was there.
// Synced, when there is one, is called when all of b is on disk under the other
// name.
func WriteFile(name string, b []byte, synced func()) error {
	return disk{
		create: func(name string) (file, error) {
			return os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		},
		open:   func(name string) (file, error) { return os.Open(name) },
		rename: os.Rename,
	}.writeFile(name, b, synced)
}

// disk is what of a file system is needed here.
type disk struct {
	create, open func(name string) (file, error)
	rename       func(from, to string) error
}

type file interface {
	io.WriteCloser
	Sync() error
}

func (d disk) writeFile(name string, b []byte, synced func()) error {
	tmp := name + Suffix
	f, err := d.create(tmp)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	if synced != nil {
		synced()
	}
	if err := d.rename(tmp, name); err != nil {
		return err
	}
	return d.syncDir(filepath.Dir(name))
}

// syncDir makes the names in a folder durable.
func (d disk) syncDir(dir string) error {
	f, err := d.open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

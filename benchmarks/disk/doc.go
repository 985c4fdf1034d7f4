// Package disk runs the built binary on a disk that fills up and on one that
// fails, and looks at what was accepted meanwhile. It needs leave to mount a
// small file system and to trace a process, so it has a build tag and a target
// of its own: make disk.
package disk

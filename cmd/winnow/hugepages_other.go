//go:build !linux

package main

func hugePages() error { return nil }

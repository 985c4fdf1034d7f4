package main

import "testing"

func TestRoomOfTheHeap(t *testing.T) {
	f := func(liveMiB uint64, want int) {
		t.Helper()
		if got := room(liveMiB << 20); got != want {
			t.Errorf("%d MiB: %d %%, want %d", liveMiB, got, want)
		}
	}
	f(0, 50)
	f(10, 50)
	f(120, 50)
	f(512, 19)
	f(1024, 14)
	f(8192, 10)
}

package load

import (
	"syscall"
	"time"
)

// nap sleeps in the kernel, whose timers are finer than those of the runtime. It
// takes a thread for as long.
func nap(d time.Duration) {
	ts := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&ts, nil) // cut short by a signal, it is early by less than it was late
}

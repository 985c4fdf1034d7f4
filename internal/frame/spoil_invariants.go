//go:build invariants

package frame

const spoils = true

// spoil makes nonsense of strings that are cut from b.
func spoil(b []byte) {
	b = b[:cap(b)]
	for i := range b {
		b[i] = '?'
	}
}

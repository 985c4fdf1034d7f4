package alert

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Fingerprint names a label set: xxhash64 over name, 0xff, value, 0xff of each
// label in order of names (0xff cannot occur in UTF-8). It is not proof of
// identity: who merges by it compares the labels in full as well.
type Fingerprint uint64

// Fingerprint hashes a sorted set. It allocates nothing for sets under 1 KiB.
func (ls Labels) Fingerprint() Fingerprint {
	var scratch [1024]byte
	b := scratch[:0]
	for i := range ls {
		b = append(b, ls[i].Name...)
		b = append(b, 0xff)
		b = append(b, ls[i].Value...)
		b = append(b, 0xff)
	}
	return Fingerprint(xxhash.Sum64(b))
}

const fingerprintPrefix = "v1:"

// String is v1:%016x. The version names the definition above, so that another
// one can stand beside it in stored data.
func (f Fingerprint) String() string { return fmt.Sprintf(fingerprintPrefix+"%016x", uint64(f)) }

// ParseFingerprint reads what String wrote; the version may be left out.
func ParseFingerprint(s string) (Fingerprint, error) {
	hex := strings.TrimPrefix(s, fingerprintPrefix)
	v, err := strconv.ParseUint(hex, 16, 64)
	if err != nil || len(hex) != 16 {
		return 0, fmt.Errorf("fingerprint %q: want v1: and 16 hexadecimal digits", s)
	}
	return Fingerprint(v), nil
}

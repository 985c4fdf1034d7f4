package ingest

import (
	"context"
	"errors"
	"time"

	"github.com/winnowhq/winnow/alert"
)

// Log makes what was accepted durable.
type Log interface {
	// Append returns nil only when all of b is durable. It must not keep b or
	// any string or slice in it: all of them are reused once it has returned,
	// also when it returns an error. An error means that the sender is told to
	// send the whole request again, so appending b twice must do no harm.
	Append(ctx context.Context, b *Batch) error
}

// ErrUnavailable is what a Log wraps when it cannot take alerts for now, as
// when it is full, stopping or not yet started. Any other error is answered
// alike but logged as a fault.
var ErrUnavailable = errors.New("ingest: the log cannot take alerts now")

// A batch is closed before it would pass either limit, so that it fits one
// message of the log with room for its encoding.
const (
	MaxBatchAlerts = 512
	MaxBatchBytes  = 256 << 10 // estimated, see size and Quarantine.size
)

// Batch is what one Append makes durable: a part of one request.
type Batch struct {
	Source string

	// Validity is how long the source vouches for a firing alert without an
	// end, from the log's time of this batch. Zero: the policy decides.
	Validity time.Duration

	Alerts      []alert.Alert
	Quarantined []Quarantine

	// Repeats are deliveries of alerts that stand in the log in full: each names
	// one by its number in Dictionary, which is 0 where no numbers are in use.
	// There the first of Alerts gets the number First, the next one more, and so
	// on. Runs says in what order all of them came: so many repeats, so many in
	// full, so many repeats, and so on.
	Dictionary uint64
	First      uint32
	Repeats    []alert.Repeat
	Runs       []uint32
}

// What a run is of, by whether its place in Runs is even or odd.
const (
	repeats = iota
	inFull
)

// run notes that one more delivery has come.
func (b *Batch) run(of int) {
	if n := len(b.Runs); n > 0 && (n-1)%2 == of {
		b.Runs[n-1]++
		return
	}
	if len(b.Runs)%2 != of {
		b.Runs = append(b.Runs, 0)
	}
	b.Runs = append(b.Runs, 1)
}

// deliveries counts what the batch holds.
func (b *Batch) deliveries() int { return len(b.Alerts) + len(b.Repeats) + len(b.Quarantined) }

// MaxRawBytes is how much of an unreadable piece is kept.
const MaxRawBytes = 256 << 10

// Quarantine is a piece of a body that could not be read.
type Quarantine struct {
	// Reason says what is wrong, in words of ours: it holds no payload.
	Reason string

	// Offset counts the bytes of the decompressed body before the fault.
	Offset int

	// Pointer is the JSON pointer (RFC 6901) of the value at fault, "" for the
	// body as a whole. Keys of the payload in it are cut to a readable length.
	Pointer string

	// Raw is the piece as it came, or its first MaxRawBytes less what Reason
	// and Pointer take.
	Raw []byte

	// Alerts counts the elements that Raw spans: 1 for a bad alert, more where
	// a long run of them was put together, and 0 for a body or the rest of one,
	// where nobody can say.
	Alerts int
}

const (
	alertOverhead      = 64
	pairOverhead       = 8
	quarantineOverhead = 64
	repeatBytes        = 16
)

func (q *Quarantine) size() int {
	return quarantineOverhead + len(q.Reason) + len(q.Pointer) + len(q.Raw)
}

// size estimates what a takes up in the log.
func size(a *alert.Alert) int {
	return alertOverhead + len(a.GeneratorURL) + pairsSize(a.Labels) + pairsSize(a.Annotations)
}

func pairsSize(ls alert.Labels) int {
	n := pairOverhead * len(ls)
	for i := range ls {
		n += len(ls[i].Name) + len(ls[i].Value)
	}
	return n
}

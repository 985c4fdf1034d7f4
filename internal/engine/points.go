package engine

import "github.com/winnowhq/winnow/internal/stream"

// Point is a place between two steps of an engine: what came before it is done,
// what comes after it is not. A test that stops the world there and goes on with
// what the disk holds sees what a crash at that place leaves behind.
type Point uint8

// The points, in the order in which a life passes them.
const (
	Resumed         Point = iota // the log says that listening goes on; nothing is replayed
	CaughtUp                     // the log is replayed; the present policy is not in it
	PolicyWritten                // it is, and nothing inherited was handed on
	MessageRead                  // and not applied
	MessageApplied               // and what it decided is not in the witness
	Witnessed                    // and what it decided is not committed
	CommittedPart                // a part of what a message decided is in the outbox, and the rest is not
	Committed                    // all of it is, and nothing was handed on
	RecordRead                   // of the outbox, and not handed on
	HandedOn                     // a notification, and its receipt has not come
	ReceiptsWait                 // the sinks have reported, and the log does not know
	ReceiptsWritten              // it does
	TickDue                      // and not written
	TickWritten                  // and not read
	GivenUp                      // a message that breaks the core is listed, and nobody has paged for it
	SnapshotSynced               // under its other name
	SnapshotNamed                // and the witness has not begun anew, nor has the oldest gone
	WitnessBegun                 // behind a snapshot, and the old ones have not gone
	StopWritten                  // and the last snapshot is not
	NumPoints
)

var pointNames = [NumPoints]string{
	"resumed", "caught_up", "policy_written", "message_read", "message_applied", "witnessed", "committed_part", "committed",
	"record_read", "handed_on", "receipts_wait", "receipts_written", "tick_due", "tick_written", "given_up",
	"snapshot_synced", "snapshot_named", "witness_begun", "stop_written",
}

func (p Point) String() string { return pointNames[min(p, NumPoints-1)] }

// pass tells a test that a point has been reached, with the message that is
// being applied, if there is one.
func (e *Engine) pass(p Point, m *stream.Message) {
	if e.opts.Point != nil {
		e.opts.Point(p, m)
	}
}

package stream

import (
	"bytes"
	"sync"

	"github.com/winnowhq/winnow/alert"
)

// What a tail holds at most: a reader that is further behind asks the server.
const (
	tailMessages = 256
	tailBytes    = 2 << 20
)

// A tail is the end of a stream as its only writer knows it: what the server has
// said is stored. A reader that has come so far takes the next message from here
// and not from the server, which would send it through a consumer, a connection
// and two goroutines. The zero value knows nothing.
type tail struct {
	mu       sync.Mutex
	known    bool      // last is the end of the stream
	last     uint64    // sequence of the newest message
	messages []Message // the newest, up to last, none left out
	bytes    int
	changed  chan struct{} // closed by what is new; nil while nobody waits
}

// begin says where the stream ends.
func (t *tail) begin(last uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.known || last != t.last {
		t.forget()
	}
	t.known, t.last = true, last
	t.tell()
}

// add says that a message has been stored, behind the one that was last.
func (t *tail) add(seq uint64, at alert.Time, data []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.known || seq != t.last+1 {
		t.forget()
	}
	t.known, t.last = true, seq
	t.messages = append(t.messages, Message{Seq: seq, At: at, Data: bytes.Clone(data)})
	t.bytes += len(data)
	for len(t.messages) > tailMessages || t.bytes > tailBytes {
		t.bytes -= len(t.messages[0].Data)
		t.messages[0] = Message{}
		t.messages = t.messages[1:]
	}
	t.tell()
}

// doubt says that it is not known where the stream ends: a message may have been
// stored without an answer.
func (t *tail) doubt() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known = false
	t.forget()
	t.tell()
}

func (t *tail) forget() { t.messages, t.bytes = nil, 0 }

func (t *tail) tell() {
	if t.changed != nil {
		close(t.changed)
		t.changed = nil
	}
}

// get returns the message with a sequence. Where that is the next one to be
// stored, wait is closed when something has changed; where both are nil, the
// server has to be asked.
func (t *tail) get(seq uint64) (m *Message, wait <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := t.last + 1 - uint64(len(t.messages))
	switch {
	case !t.known || seq < first || seq > t.last+1:
		return nil, nil
	case seq <= t.last:
		m := t.messages[seq-first] // the slice is written over
		return &m, nil
	}
	if t.changed == nil {
		t.changed = make(chan struct{})
	}
	return nil, t.changed
}

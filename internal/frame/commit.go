package frame

import (
	"encoding/json"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
)

// Commit is a record of the outbox: what was decided by the log up to and
// including message Input. Its envelope is a frame's, marked 'C', with the
// counter counting commits; its body is JSON.
type Commit struct {
	Epoch   uint64                   `json:"epoch"`             // counts the lives of the shard's owner
	Owner   string                   `json:"owner,omitempty"`   // names it, where several processes may be one
	Input   uint64                   `json:"input"`             // log sequence reached
	Partial int                      `json:"partial,omitempty"` // outputs of the message after Input that are written already
	At      alert.Time               `json:"at"`                // log time reached
	Outputs []correlate.Notification `json:"outputs,omitempty"`
}

// Reaches reports whether c, or a record after it, holds the first outputs of
// message input or of one behind it.
func (c *Commit) Reaches(input uint64) bool {
	return c.Input >= input || c.Input+1 == input && c.Partial > 0
}

// AppendCommit appends an encoded commit record to dst.
func AppendCommit(dst []byte, counter uint64, c *Commit) ([]byte, error) {
	raw, err := json.Marshal(c)
	if err != nil {
		return dst, err
	}
	return seal(dst, 'C', commitVersion, Header{Counter: counter}, raw), nil
}

// DecodeCommit reads what AppendCommit wrote.
func DecodeCommit(msg []byte) (counter uint64, c *Commit, err error) {
	h, raw, err := open(nil, msg, 'C', commitVersion)
	if err != nil {
		return 0, nil, err
	}
	c = &Commit{}
	if err := json.Unmarshal(raw, c); err != nil {
		return h.Counter, nil, corrupt("commit: %v", err)
	}
	return h.Counter, c, nil
}

package frame

import (
	"bytes"
	"encoding/binary"
	"encoding/json"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/wire"
)

// Commit is a record of the outbox: what was decided by the log up to and
// including message Input. Its envelope is a frame's, marked 'C', with the
// counter counting commits; its body is JSON but for the alerts of its outputs,
// which are most of it.
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

// CommitPacker makes commit records and keeps its memory from one to the next.
// The zero value is ready.
type CommitPacker struct {
	segment Segment
	outputs []correlate.Notification
	raw     []byte
}

// Append appends an encoded commit record to dst.
func (p *CommitPacker) Append(dst []byte, counter uint64, c *Commit) ([]byte, error) {
	s := &p.segment
	s.Reset()
	p.outputs = append(p.outputs[:0], c.Outputs...)
	for i := range p.outputs {
		s.appendMembers(p.outputs[i].Alerts, c.At)
		p.outputs[i].Alerts = nil
	}
	s.symbols.letGo()
	head := *c
	head.Outputs = p.outputs
	text, err := json.Marshal(&head)
	clear(p.outputs)
	if err != nil {
		return dst, err
	}
	p.raw = binary.AppendUvarint(p.raw[:0], uint64(len(text)))
	p.raw = append(p.raw, text...)
	p.raw = s.symbols.append(p.raw)
	p.raw = append(p.raw, s.events...)
	return seal(dst, 'C', commitVersion, Header{Counter: counter, At: c.At}, p.raw), nil
}

// AppendCommit is Append of a CommitPacker that is used once.
func AppendCommit(dst []byte, counter uint64, c *Commit) ([]byte, error) {
	return new(CommitPacker).Append(dst, counter, c)
}

// DecodeCommit reads what AppendCommit wrote. It keeps nothing of msg.
func DecodeCommit(msg []byte) (counter uint64, c *Commit, err error) {
	h, raw, err := open(nil, msg, 'C', commitVersion)
	if err != nil {
		return 0, nil, err
	}
	if msg[3] == codecStored {
		raw = bytes.Clone(raw) // the strings of alerts are cut from it
	}
	r, head := wire.NewTextReader(raw), raw
	if msg[2] > 1 {
		if head = r.Bytes(); r.Err() != nil {
			return h.Counter, nil, r.Err()
		}
	}
	c = &Commit{}
	if err := json.Unmarshal(head, c); err != nil {
		return h.Counter, nil, corrupt("commit: %v", err)
	}
	if msg[2] == 1 {
		return h.Counter, c, nil
	}
	var d Decoder
	d.table(r)
	for i := range c.Outputs {
		c.Outputs[i].Alerts = d.members(r, c.At)
	}
	if err := r.End(); err != nil {
		return h.Counter, nil, err
	}
	return h.Counter, c, nil
}

// memberNew is what the first of the flags says of a member. The others are those
// of an alert.
const memberNew = 1

// memberBytes is the least that a member takes.
const memberBytes = 12

func (s *Segment) appendMembers(members []correlate.Member, base alert.Time) {
	b := binary.AppendUvarint(s.events, uint64(len(members)))
	for i := range members {
		m := &members[i]
		flags := optionalFlags(m.StartsAt, m.EndsAt, m.GeneratorURL)
		if m.New {
			flags |= memberNew
		}
		b = append(b, flags)
		b = binary.LittleEndian.AppendUint64(b, uint64(m.Fingerprint))
		b = s.appendLabels(b, m.Labels, 0)
		b = s.appendLabels(b, m.Annotations, 2*len(m.Labels))
		b = binary.AppendUvarint(b, m.Deliveries)
		b = s.appendOptional(b, base, m.StartsAt, m.EndsAt, m.GeneratorURL)
	}
	s.events = b
}

func (d *Decoder) members(r *wire.Reader, base alert.Time) []correlate.Member {
	n := r.Count(memberBytes)
	if n == 0 {
		return nil
	}
	members := make([]correlate.Member, n)
	for i := range members {
		m := &members[i]
		flags := r.Byte()
		m.New = flags&memberNew != 0
		m.Fingerprint = alert.Fingerprint(r.Fixed())
		m.Labels = d.labelSet(r)
		m.Annotations = d.labelSet(r)
		m.Deliveries = r.Uint()
		m.StartsAt, m.EndsAt, m.GeneratorURL = d.optional(r, flags, base)
		if r.Err() != nil {
			return nil
		}
	}
	return members
}

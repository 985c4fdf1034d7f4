package frame

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
)

// sampleCommit has notifications with and without alerts, and each part of an
// alert both set and not.
func sampleCommit() *Commit {
	var members []correlate.Member
	for i, a := range sample(5) {
		m := correlate.Member{
			Fingerprint: a.Fingerprint, Labels: a.Labels, Annotations: a.Annotations, StartsAt: a.StartsAt,
			GeneratorURL: a.GeneratorURL, Deliveries: uint64(i * 100), New: i%2 == 0,
		}
		if a.Status == alert.Resolved {
			m.EndsAt = a.EndsAt
		}
		members = append(members, m)
	}
	members = append(members, correlate.Member{Fingerprint: math.MaxUint64, StartsAt: math.MinInt64, EndsAt: math.MaxInt64, Deliveries: math.MaxUint64})
	n := correlate.Notification{
		Incident: 3, Revision: 1, Kind: correlate.Page, Receiver: "oncall", GroupKey: "{}:{}", Keys: []string{"{}:{}#error"},
		GroupLabels: members[0].Labels[:2], At: at, Opened: at, Severity: alert.Error, Alerts: members, Firing: 4, Resolved: 2,
	}
	none := correlate.Notification{Incident: 4, Revision: 2, Kind: correlate.Update, Receiver: "chat", Omitted: 7}
	n.Incident++
	return &Commit{Epoch: 2, Owner: "here", Input: 99, Partial: 1, At: at, Outputs: []correlate.Notification{n, none, n}}
}

func appendCommit(t testing.TB, c *Commit) []byte {
	t.Helper()
	msg, err := AppendCommit(nil, 7, c)
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

// sameCommit reports whether two say the same, but for what an empty list is.
func sameCommit(a, b *Commit) bool {
	for _, c := range []*Commit{a, b} {
		for i := range c.Outputs {
			for k := range c.Outputs[i].Alerts {
				m := &c.Outputs[i].Alerts[k]
				for _, ls := range []*alert.Labels{&m.Labels, &m.Annotations} {
					if len(*ls) == 0 {
						*ls = nil
					}
				}
			}
		}
	}
	return reflect.DeepEqual(a, b)
}

func TestCommitRoundTrip(t *testing.T) {
	f := func(name string, c *Commit) {
		t.Helper()
		msg := appendCommit(t, c)
		counter, got, err := DecodeCommit(msg)
		if err != nil || counter != 7 || !sameCommit(got, c) {
			t.Errorf("%s came back with counter %d, error %v, as\n%+v\nwant\n%+v", name, counter, err, got, c)
		}
	}
	f("nothing", &Commit{})
	f("a claim", &Commit{Epoch: 5, Owner: "there", Input: 1, At: at})
	f("everything", sampleCommit())
	for _, v := range []string{"", "\x00", "\xff\xfe", "line\nline", "ü…", string(bytes.Repeat([]byte{'x'}, 1<<16))} {
		c := sampleCommit()
		c.Outputs[0].Alerts[1].Labels = alert.Labels{{Name: "v", Value: v}}
		c.Outputs[0].Alerts[1].Annotations = alert.Labels{{Name: v, Value: "v"}}
		f(fmt.Sprintf("the value %.10q", v), c)
	}
}

// TestWhatIsWrittenStays: neither encoding nor decoding keeps or changes what it
// was given, and what was decoded does not change with the message.
func TestWhatIsWrittenStays(t *testing.T) {
	c := sampleCommit()
	for _, c := range []*Commit{c, {At: at, Outputs: []correlate.Notification{{Alerts: c.Outputs[0].Alerts[:1]}}}} { // packed, and too short for that
		msg := appendCommit(t, c)
		if c.Outputs[0].Alerts == nil {
			t.Fatal("encoding took the alerts away")
		}
		_, got, err := DecodeCommit(msg)
		if err != nil {
			t.Fatal(err)
		}
		for i := range msg {
			msg[i] = 0
		}
		if !sameCommit(got, c) {
			t.Errorf("with the message overwritten it reads\n%+v\nwant\n%+v", got, c)
		}
	}
}

func TestEveryFlippedBitOfACommitIsFound(t *testing.T) {
	msg := appendCommit(t, sampleCommit())
	for i := range len(msg) * 8 {
		bent := bytes.Clone(msg)
		bent[i/8] ^= 1 << (i % 8)
		if _, _, err := DecodeCommit(bent); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("bit %d flipped: error %v, want ErrCorrupt", i, err)
		}
	}
	for n := range len(msg) {
		if _, _, err := DecodeCommit(msg[:n]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut to %d bytes: error %v, want ErrCorrupt", n, err)
		}
	}
}

// commitOf seals the body of a commit record.
func commitOf(body []byte) []byte {
	return seal(nil, 'C', commitVersion, Header{Counter: 7}, body)
}

// TestABentBodyIsAnError goes past the checksum: whatever stands in a body, what
// is read of it is a record or an error, and takes little memory.
func TestABentBodyIsAnError(t *testing.T) {
	_, body, err := open(nil, appendCommit(t, sampleCommit()), 'C', commitVersion)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, xxhash.Sum64(body)))
	for range 20_000 {
		bent := bytes.Clone(body)
		for range 1 + rng.IntN(3) {
			bent[rng.IntN(len(bent))] = byte(rng.Uint32())
		}
		bent = bent[:len(bent)-rng.IntN(2)*rng.IntN(len(bent))]
		if _, c, err := DecodeCommit(commitOf(bent)); (c == nil) == (err == nil) {
			t.Fatalf("%x: %+v, %v", bent, c, err)
		}
	}
	for n := range len(body) {
		if _, _, err := DecodeCommit(commitOf(body[:n])); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut to %d bytes: error %v, want ErrCorrupt", n, err)
		}
	}
	if _, _, err := DecodeCommit(commitOf(append(bytes.Clone(body), 0))); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a byte too many: error %v, want ErrCorrupt", err)
	}
}

// FuzzCommit goes past the envelope, whose checksum a fuzzer does not guess.
func FuzzCommit(f *testing.F) {
	_, body, err := open(nil, appendCommit(f, sampleCommit()), 'C', commitVersion)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Fuzz(func(t *testing.T, body []byte) {
		_, c, err := DecodeCommit(commitOf(body))
		if err != nil {
			return
		}
		_, again, err := DecodeCommit(appendCommit(t, c))
		if err != nil || len(again.Outputs) != len(c.Outputs) {
			t.Fatalf("what was read cannot be written and read: %v", err)
		}
	})
}

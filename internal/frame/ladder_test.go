package frame

import "testing"

func TestLadderEventRoundTrip(t *testing.T) {
	var s Segment
	want := Stepped{Level: 3, Cause: "the core is 16s behind", At: 1_700_000_000_000_000_000}
	if err := s.Add(&Event{Kind: Ladder, Ladder: &want}); err != nil {
		t.Fatal(err)
	}
	var d Decoder
	n := 0
	_, err := d.Decode(Append(nil, Header{Counter: 1}, s.Append(nil)), func(e *Event) error {
		if n++; e.Kind != 11 || *e.Ladder != want {
			t.Errorf("kind %d came back as %+v", e.Kind, e.Ladder)
		}
		return nil
	})
	if err != nil || n != 1 {
		t.Errorf("%d events, %v", n, err)
	}
}

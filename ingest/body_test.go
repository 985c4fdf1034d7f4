package ingest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"
)

func itoa(i int) string { return strconv.Itoa(i) }

// TestContentEncoding: whatever can be read is read, whatever cannot is kept.
func TestContentEncoding(t *testing.T) {
	f := func(what, encoding string, body []byte, alerts int, reason string) {
		t.Helper()
		b := newBench(t, `{}`)
		w := b.post("/ingest/prometheus", body, "Content-Encoding", encoding)
		got := ""
		if r := b.got["prometheus"]; r != nil && len(r.quarantined) > 0 {
			got = r.quarantined[0].Reason
		}
		if n, _ := b.stored("prometheus"); w.Code != 200 || n != alerts || got != reason {
			t.Errorf("%s: %d, %d alerts, %q; want %d, %q", what, w.Code, n, got, alerts, reason)
		}
	}
	body := apiBody(500)
	z := zipped(body)
	f("plain", "", body, 500, "")
	f("identity", "identity", body, 500, "")
	f("gzip", "gzip", z, 500, "")
	f("in capitals", "GZIP", z, 500, "")
	f("two members", "x-gzip", append(zipped(body[:1000]), zipped(body[1000:])...), 500, "")
	f("gzip in name only", "gzip", body, 500, "")
	f("gzip, not named", "", z, 0, "the body is not JSON; an array of alerts is wanted here")
	f("empty", "gzip", nil, 0, "the body is nothing; an array of alerts is wanted here")
	f("header only", "gzip", z[:5], 0, "the body is broken gzip: unexpected EOF")
	f("not deflate", "gzip", append([]byte("\x1f\x8b\x07"), z[3:]...), 0, "the body is broken gzip: gzip: invalid header")
	f("wrong checksum", "gzip", append(bytes.Clone(z[:len(z)-8]), make([]byte, 8)...), 500, "the body is broken gzip: gzip: invalid checksum")
	f("zstd", "zstd", []byte("\x28\xb5\x2f\xfd"), 0, "the body has a Content-Encoding that Winnow does not read: send it plain or with gzip")

	// What was inflated of a body that breaks off is read as far as it goes.
	b := newBench(t, `{}`)
	b.post("/ingest/prometheus", z[:len(z)*3/4], "Content-Encoding", "gzip")
	if alerts, quarantined := b.stored("prometheus"); alerts < 100 || alerts >= 500 || quarantined != 1 {
		t.Errorf("three quarters of a body: %d alerts, %d in quarantine", alerts, quarantined)
	}
}

func TestBrokenGzipKeepsItsBytes(t *testing.T) {
	b := newBench(t, `{}`)
	sent := []byte("\x1f\x8b\x07 not what it says")
	b.post("/ingest/prometheus", sent, "Content-Encoding", "gzip")
	if q := b.got["prometheus"].quarantined; len(q) != 1 || !bytes.Equal(q[0].Raw, sent) {
		t.Errorf("%q in quarantine, want %q", q[0].Raw, sent)
	}
}

// TestBomb sends 1 GiB of nothing, and alerts followed by nothing.
func TestBomb(t *testing.T) {
	f := func(what string, wire []byte, alerts int) {
		t.Helper()
		b := newBench(t, `{}`)
		b.post("/ingest/prometheus", zipped([]byte(oneAlert)), "Content-Encoding", "gzip") // fills the pools
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		w := b.post("/ingest/prometheus", wire, "Content-Encoding", "gzip")
		runtime.ReadMemStats(&after)
		got, quarantined := b.stored("prometheus")
		if w.Code != 200 || got != alerts+1 || quarantined != 1 {
			t.Errorf("%s: %d, %d alerts, %d in quarantine; want %d, 1", what, w.Code, got-1, quarantined, alerts)
		}
		if reason := b.got["prometheus"].quarantined[0].Reason; reason != "the body is compressed more than 200 times: what comes after was not read" {
			t.Errorf("%s: %s", what, reason)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 2<<20+MaxRawBytes {
			t.Errorf("%s: %d bytes allocated, beside what is kept of it", what, grown-MaxRawBytes)
		}
		if got := b.metric("short_bodies_total", "source=prometheus"); got != 1 {
			t.Errorf("%s: counted %v times", what, got)
		}
	}
	nothing := zipped(make([]byte, 64<<20))
	f("nothing", bytes.Repeat(nothing, 16), 0)
	f("alerts, then blanks", zipped([]byte(oneAlert[:len(oneAlert)-1]+strings.Repeat(" ", 64<<20)+"]")), 1)
}

// TestOversizedBody: the alerts within the limit are taken, the beginning is
// kept, and the sender is not told to go away.
func TestOversizedBody(t *testing.T) {
	f := func(what string, body []byte, alerts int) {
		t.Helper()
		b := newBench(t, `limits: {body_bytes: 1048576}`)
		src := &countingReader{r: bytes.NewReader(body)}
		w := b.do("POST", "/ingest/prometheus", src)
		r := b.got["prometheus"]
		if w.Code != 200 || len(r.alerts) != alerts || len(r.quarantined) != 1 {
			t.Fatalf("%s: %d, %d alerts, %d in quarantine", what, w.Code, len(r.alerts), len(r.quarantined))
		}
		q := r.quarantined[0]
		if q.Reason != "the body is larger than 1048576 bytes: what comes after was not read" || !bytes.HasPrefix(body, q.Raw) || len(q.Raw) < MaxRawBytes-1000 {
			t.Errorf("%s: %s, %d bytes kept", what, q.Reason, len(q.Raw))
		}
		if src.n != len(body) {
			t.Errorf("%s: %d of %d bytes read, so the sender may not see the answer", what, src.n, len(body))
		}
	}
	body := apiBody(3000)
	within := bytes.Count(body[:1<<20], []byte(`"fingerprint"`)) // the last member of an alert
	f("alerts", body, within)
	f("no JSON", []byte(strings.Repeat("x", 3<<20)), 0)
	f("blanks behind the alerts", []byte(oneAlert+strings.Repeat(" ", 2<<20)), 1)
}

// TestABodyInChunksTakesTwiceItsSize: a buffer that doubled took nearly four
// times as much, and the size of a chunked or compressed body is not known.
func TestABodyInChunksTakesTwiceItsSize(t *testing.T) {
	for _, n := range []int{0, 1, 511, 512, 513, 64 << 10, 100_000, 1 << 20, 1<<20 + 1, 9 << 20} {
		sent := bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n]
		r := &room{limit: 64 << 20}
		b := &body{room: r}
		if !b.grow(minReadBytes) {
			t.Fatal("no room")
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := b.fill(iotest.HalfReader(bytes.NewReader(sent)), &Limits{BodyBytes: 16 << 20, LabelValueBytes: 1 << 10}, 0)
		runtime.ReadMemStats(&after)
		if err != nil || !bytes.Equal(b.text, sent) || b.short != "" {
			t.Errorf("%d bytes: %d read, %v, %s", n, len(b.text), err, b.short)
		}
		if got := int(after.TotalAlloc - before.TotalAlloc); n >= 1<<20 && got > 5*n/2 {
			t.Errorf("%d bytes took %d", n, got)
		}
		if used := r.used.Load(); used != int64(cap(b.text)) {
			t.Errorf("%d bytes: room for %d is taken, the body has %d", n, used, cap(b.text))
		}
	}
	r := &room{limit: 1 << 20}
	b := &body{room: r}
	if err := b.fill(bytes.NewReader(make([]byte, 3<<20)), &Limits{BodyBytes: 16 << 20}, 0); err != errNoRoom || r.used.Load() != int64(cap(b.text)) {
		t.Errorf("without room: %v, %d taken", err, r.used.Load())
	}
}

func TestABodyThatBreaksOffOnTheWireIsSentAgain(t *testing.T) {
	broken := errors.New("connection reset by peer")
	f := func(what string, body []byte, header ...string) {
		t.Helper()
		b := newBench(t, `{}`)
		w := b.do("POST", "/ingest/prometheus", io.MultiReader(bytes.NewReader(body), iotest.ErrReader(broken)), header...)
		if alerts, quarantined := b.stored("prometheus"); w.Code != 503 || w.Header().Get("Retry-After") != "1" || alerts+quarantined != 0 {
			t.Errorf("%s: %d, %d alerts, %d in quarantine", what, w.Code, alerts, quarantined)
		}
	}
	body := apiBody(100)
	z := zipped(body)
	f("at once", nil)
	f("in the middle", body[:5000])
	f("at the end", body)
	f("compressed, at once", nil, "Content-Encoding", "gzip")
	f("compressed, in the header", z[:6], "Content-Encoding", "gzip")
	f("compressed, in the middle", z[:len(z)/2], "Content-Encoding", "gzip")
}

type countingReader struct {
	r io.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

// TestRoomForBodies: what does not fit into memory beside the bodies of other
// requests is answered 503, and all room is given back.
func TestRoomForBodies(t *testing.T) {
	b := newBench(t, `limits: {body_bytes: 3145728, in_flight_bytes: 6291456}`)
	body := apiBody(2600) // more than half of the room, once it has grown
	entered, leave := make(chan bool, 1), make(chan bool)
	b.append = func(context.Context, *Batch) error {
		select {
		case entered <- true:
			<-leave
		default:
		}
		return nil
	}
	done := make(chan int)
	go func() { done <- b.post("/ingest/prometheus", body).Code }()
	<-entered
	w := b.do("POST", "/ingest/prometheus", io.MultiReader(bytes.NewReader(bytes.Repeat(body, 2))))
	const want = "Winnow is reading as many requests as it has memory for; send this again."
	if w.Code != 503 || strings.TrimSpace(w.Body.String()) != want {
		t.Errorf("%d %q while another request holds the room", w.Code, w.Body)
	}
	close(leave)
	if code := <-done; code != 200 {
		t.Errorf("%d for the request that held it", code)
	}
	for range 20 {
		if w := b.post("/ingest/prometheus", body); w.Code != 200 {
			t.Fatalf("%d: room was not given back", w.Code)
		}
	}
}

// FuzzReceive holds the reading of bodies, compressed and not: what was read is
// a beginning of what a slower reader gets, and all room is given back.
func FuzzReceive(f *testing.F) {
	z := zipped([]byte(oneAlert))
	for _, b := range [][]byte{nil, []byte(oneAlert), z, z[:len(z)/2], append(bytes.Clone(z), z...), append(bytes.Clone(z), 'x'), zipped(make([]byte, 2<<20)), []byte("\x1f\x8b"), zipped(apiBody(50))} {
		f.Add(b, true, true)
		f.Add(b, false, false)
	}
	f.Fuzz(func(t *testing.T, sent []byte, compressed, sized bool) {
		l := Limits{}
		l.Defaults()
		l.BodyBytes = 1 << 20
		room := &room{limit: int64(l.InFlightBytes)}
		r := httptest.NewRequest("POST", "/", iotest.HalfReader(bytes.NewReader(sent)))
		if sized {
			r.ContentLength = int64(len(sent))
		}
		want := sent
		if compressed {
			r.Header.Set("Content-Encoding", "gzip")
			if slow, err := gzip.NewReader(bytes.NewReader(sent)); err == nil {
				want, _ = io.ReadAll(io.LimitReader(slow, 4<<20)) // as far as it goes
			}
		}
		b, err := receive(r, room, &l)
		if err != nil {
			t.Fatalf("%q: %v", sent, err)
		}
		if b.short == "" && !bytes.Equal(b.text, want) {
			t.Fatalf("%q: read %q, want %q", sent, b.text, want)
		}
		if len(b.text) > l.BodyBytes || !bytes.HasPrefix(want, b.text) && !bytes.HasPrefix(sent, b.text) {
			t.Fatalf("%q: read %q (%s)", sent, b.text, b.short)
		}
		if b.release(); room.used.Load() != 0 {
			t.Fatalf("%q: %d bytes of room are kept", sent, room.used.Load())
		}
	})
}

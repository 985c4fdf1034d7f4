package load

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/winnowhq/winnow/alert"
)

// Format is how alerts are written.
type Format string

const (
	API     Format = "api"     // POST to Alertmanager's /api/v2/alerts, as Prometheus writes it
	Webhook Format = "webhook" // version 4, as Alertmanager writes it
)

// Path is where a format is sent to unless said otherwise.
func (f Format) Path() string {
	if f == Webhook {
		return "/ingest/alertmanager"
	}
	return "/api/v2/alerts"
}

// Request is an HTTP request as it goes over the wire, rendered once and sent
// many times: only the ends of its alerts move on, in place.
type Request struct {
	Alerts int
	wire   []byte
	ends   []int // where in wire an end stands
}

// timeLayout has a fixed width, so that a time can be overwritten by another.
const timeLayout = "2006-01-02T15:04:05.000Z"

// endMark is an end of that width in the format in which bodies are written.
var endMark = time.Date(2099, 12, 31, 23, 59, 59, 999e6, time.UTC)

// Render writes alerts from to to-1 as requests of so many alerts each, the last
// one of what is left. They started when it says: a server may tell of an old
// alert at once, whatever it waits for otherwise.
func (u *Universe) Render(f Format, from, to, batch int, started time.Time) []Request {
	var out []Request
	var body []byte
	for i := from; i < to; i += batch {
		end := min(i+batch, to)
		if f == Webhook {
			body = u.AppendWebhook(body[:0], i, end, time.Time{})
		} else {
			body = u.AppendAPI(body[:0], i, end, endMark)
		}
		out = append(out, newRequest(f.Path(), body, end-i, started))
	}
	return out
}

// RenderOne writes one alert as Prometheus would, to be sent by itself.
func RenderOne(a *alert.Alert, started time.Time) Request {
	return newRequest(API.Path(), append(appendOne([]byte{'['}, a, endMark), ']'), 1, started)
}

// newRequest makes a request of a body with so many alerts. It keeps a copy.
func newRequest(path string, body []byte, alerts int, started time.Time) Request {
	r := Request{Alerts: alerts}
	r.wire = append(r.wire, "POST "+path+" HTTP/1.1\r\nHost: winnow\r\nUser-Agent: load\r\nContent-Type: application/json\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"...)
	head := len(r.wire)
	r.wire = append(r.wire, body...)
	start := started.UTC().Format(timeLayout)
	for _, i := range textAt(r.wire, head, `"startsAt":"`, Started) {
		copy(r.wire[i:], start)
	}
	r.ends = textAt(r.wire, head, `"endsAt":"`, endMark)
	return r
}

// textAt lists where in b, from an index on, a time stands behind a key.
func textAt(b []byte, from int, key string, t time.Time) (at []int) {
	mark := []byte(key + t.Format(timeLayout))
	for {
		i := bytes.Index(b[from:], mark)
		if i < 0 {
			return at
		}
		at = append(at, from+i+len(key))
		from += i + len(mark)
	}
}

// append writes the request with its ends set.
func (r *Request) append(dst []byte, ends time.Time) []byte {
	from := len(dst)
	dst = append(dst, r.wire...)
	text := ends.UTC().Format(timeLayout)
	for _, i := range r.ends {
		copy(dst[from+i:], text)
	}
	return dst
}

// A Sequence is the order in which requests are sent, as indexes.
type Sequence []int32

// Rounds sends n requests so many times over, in order.
func Rounds(n, rounds int) Sequence {
	out := make(Sequence, 0, n*rounds)
	for range rounds {
		for i := range n {
			out = append(out, int32(i))
		}
	}
	return out
}

// Mixed sends each of the requests from known to n-1 once, in order, among
// others that are drawn by seed from the known ones before them, so that the
// requests that are sent once are the share fresh of all.
func Mixed(seed uint64, known, n int, fresh float64) (Sequence, error) {
	if known < 1 || n <= known || fresh <= 0 || fresh >= 1 {
		return nil, fmt.Errorf("load: mix %d known and %d fresh requests to a share of %g: want some of both", known, n-known, fresh)
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	out := make(Sequence, 0, int(float64(n-known)/fresh)+1)
	for i := known; i < n; {
		if rng.Float64() < fresh {
			out = append(out, int32(i))
			i++
			continue
		}
		out = append(out, int32(rng.IntN(known)))
	}
	return out, nil
}

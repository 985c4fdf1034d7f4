package ingest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const (
	oldKey = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" // of the specification's example
	newKey = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

	signedSources = `sources:
  prometheus: {hmac: [{secret: ` + oldKey + `}, {secret: ` + newKey + `}], tokens: [{token: t}]}
  alertmanager: {hmac: [{scheme: grafana, secret: shared, timestamp_header: X-Sent}]}`
)

// standard signs as Standard Webhooks say; header names and values in turn.
func standard(key, id string, at time.Time, body string) []string {
	k, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(key, "whsec_"))
	if err != nil {
		panic("ingest: a key of a test: " + err.Error())
	}
	ts := strconv.FormatInt(at.Unix(), 10)
	return []string{"webhook-id", id, "webhook-timestamp", ts,
		"webhook-signature", "v1," + base64.StdEncoding.EncodeToString(macOf(k, id+"."+ts+"."+body))}
}

// grafana signs as Grafana's contact points do.
func grafana(header, key string, at time.Time, body string) []string {
	ts := strconv.FormatInt(at.Unix(), 10)
	return []string{"X-Sent", ts, header, hex.EncodeToString(macOf([]byte(key), ts+":"+body))}
}

func macOf(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// with replaces the value of one header.
func with(header []string, name, value string) []string {
	out := append([]string(nil), header...)
	for i := 0; i < len(out); i += 2 {
		if out[i] == name {
			out[i+1] = value
		}
	}
	return out
}

// TestStandardWebhooksExample is the worked example of the specification.
func TestStandardWebhooksExample(t *testing.T) {
	const body = `{"test": 2432232314}`
	at := time.Unix(1614265330, 0)
	got := standard(oldKey, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, body)
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got[5] != want {
		t.Fatalf("the test signs %s, want %s", got[5], want)
	}
	k, err := newKeyring(configOf(t, signedSources).Sources["prometheus"])
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "/", nil)
	for i := 0; i < len(got); i += 2 {
		r.Header.Set(got[i], got[i+1])
	}
	claims, _ := k.claims(r, at)
	for _, c := range claims {
		c.mac.Write([]byte(body))
	}
	if _, ok := holdsOf(claims); !ok {
		t.Error("the example is refused")
	}
}

func TestSignatures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(24 * time.Hour) // some time of day, and of its own second
		b := newBench(t, signedSources)
		now := time.Now()
		f := func(what, path, body string, header []string, code int) {
			t.Helper()
			if w := b.post(path, []byte(body), header...); w.Code != code {
				t.Errorf("%s: %d %s, want %d", what, w.Code, w.Body, code)
			}
		}
		const p, body = "/ingest/prometheus", oneAlert
		f("the old key", p, body, standard(oldKey, "a", now, body), 200)
		f("the new key", p, body, standard(newKey, "b", now, body), 200)
		f("the other door", "/api/v2/alerts", body, standard(newKey, "c", now, body), 200)
		f("both signatures, one of a key that is not known", p, body,
			with(standard(oldKey, "d", now, body), "webhook-signature", "v1,"+strings.Repeat("A", 43)+"= "+standard(oldKey, "d", now, body)[5]), 200)
		f("a version that is not known beside", p, body,
			with(standard(oldKey, "e", now, body), "webhook-signature", "v1a,AAAA "+standard(oldKey, "e", now, body)[5]), 200)
		f("compressed: the bytes on the wire are signed", p, string(zipped([]byte(body))),
			append(standard(oldKey, "f", now, string(zipped([]byte(body)))), "Content-Encoding", "gzip"), 200)
		f("compressed, and signed before that", p, string(zipped([]byte(body))),
			append(standard(oldKey, "g", now, body), "Content-Encoding", "gzip"), 401)
		f("another key", p, body, standard("whsec_"+strings.Repeat("AAAA", 8), "h", now, body), 401)
		f("another body", p, body+" ", standard(oldKey, "i", now, body), 401)
		f("another identifier", p, body, with(standard(oldKey, "j", now, body), "webhook-id", "k"), 401)
		f("another time", p, body, with(standard(oldKey, "l", now, body), "webhook-timestamp", strconv.FormatInt(now.Unix()+1, 10)), 401)
		f("no time", p, body, with(standard(oldKey, "m", now, body), "webhook-timestamp", ""), 401)
		f("no signature", p, body, with(standard(oldKey, "n", now, body), "webhook-signature", ""), 401)
		f("a signature that is cut", p, body, with(standard(oldKey, "o", now, body), "webhook-signature", "v1,g0hM"), 401)
		f("the token instead", p, body, []string{"Authorization", "Bearer t"}, 200)
		f("the token, whatever is signed", p, body, append(standard(oldKey, "q", now, "x"), "Authorization", "Bearer t"), 200)
		f("another source's scheme", p, body, grafana("X-Grafana-Alerting-Signature", "shared", now, body), 401)

		const g = "/ingest/alertmanager"
		am := `{"alerts":` + oneAlert + `}`
		f("Grafana", g, am, grafana("X-Grafana-Alerting-Signature", "shared", now, am), 200)
		f("Grafana, the header that its code sends", g, am+" ", grafana("X-Grafana-Alert-Signature", "shared", now, am+" "), 200)
		f("Grafana without the time", g, am, with(grafana("X-Grafana-Alerting-Signature", "shared", now, am), "X-Sent", ""), 401)
		f("Grafana, signed without the time", g, am, []string{"X-Grafana-Alerting-Signature", hex.EncodeToString(macOf([]byte("shared"), am))}, 401)
		f("Grafana, another key", g, am, grafana("X-Grafana-Alerting-Signature", "share", now, am), 401)

		if alerts, broken := b.stored("prometheus"); alerts != 8 || broken != 0 {
			t.Errorf("%d alerts and %d pieces of prometheus stored", alerts, broken)
		}
	})
}

// TestSignatureWindow: five minutes to either side, to the second.
func TestSignatureWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, signedSources)
		f := func(ago time.Duration, code int) {
			t.Helper()
			if w := b.post("/ingest/prometheus", []byte(oneAlert), standard(oldKey, "x", time.Now().Add(-ago), oneAlert)...); w.Code != code {
				t.Errorf("signed %s ago: %d, want %d", ago, w.Code, code)
			}
		}
		f(0, 200)
		f(5*time.Minute, 200)
		f(-5*time.Minute, 200)
		f(5*time.Minute+time.Second, 401)
		f(-5*time.Minute-time.Second, 401)
		f(24*time.Hour, 401)
		if got := b.metric("refused_total", "reason=clock", "source=prometheus"); got != 3 {
			t.Errorf("%v requests refused for their clock", got)
		}
	})
}

func TestReplaysAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, signedSources)
		f := func(what string, header []string, code int) {
			t.Helper()
			if w := b.post("/ingest/prometheus", []byte(oneAlert), header...); w.Code != code {
				t.Errorf("%s: %d, want %d", what, w.Code, code)
			}
		}
		first := standard(oldKey, "id", time.Now(), oneAlert)
		f("the first time", first, 200)
		f("at once", first, 401)
		time.Sleep(4 * time.Minute)
		f("within the window", first, 401)
		f("the sender tries again, and signs again", standard(oldKey, "id", time.Now(), oneAlert), 200)
		f("two signatures, one of them seen", with(first, "webhook-signature", first[5]+" v1,"+strings.Repeat("A", 43)+"="), 401)
		time.Sleep(2 * time.Minute)
		f("after the window", first, 401)
		if got := b.metric("refused_total", "reason=replay", "source=prometheus"); got != 3 {
			t.Errorf("%v replays refused", got)
		}
		if alerts, _ := b.stored("prometheus"); alerts != 2 {
			t.Errorf("%d alerts stored, want 2", alerts)
		}
	})
}

// TestReplaysOutliveAReload: the doors are new then, the memory is not.
func TestReplaysOutliveAReload(t *testing.T) {
	memory := NewReplays()
	send := func() int {
		doors, err := New(memoryLog(func(context.Context, *Batch) error { return nil }),
			Options{Config: configOf(t, signedSources), Now: func() time.Time { return time.Unix(1e9, 0) }, Replays: memory})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("POST", "/", strings.NewReader(oneAlert))
		for h := standard(oldKey, "id", time.Unix(1e9, 0), oneAlert); len(h) > 0; h = h[2:] {
			r.Header.Set(h[0], h[1])
		}
		for _, route := range doors.Routes() {
			if route.Pattern == "/ingest/prometheus" {
				w := httptest.NewRecorder()
				route.Handler.ServeHTTP(w, r)
				return w.Code
			}
		}
		return 0
	}
	if first, second := send(), send(); first != 200 || second != 401 {
		t.Errorf("%d, after a reload %d", first, second)
	}
}

// TestWhatWasNotStoredIsNoReplay: the sender was told 503, so it comes again.
func TestWhatWasNotStoredIsNoReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, signedSources)
		header := standard(oldKey, "id", time.Now(), oneAlert)
		b.append = func(context.Context, *Batch) error { return errors.New("disk full") }
		if w := b.post("/ingest/prometheus", []byte(oneAlert), header...); w.Code != 503 {
			t.Fatalf("%d", w.Code)
		}
		b.append = nil
		if w := b.post("/ingest/prometheus", []byte(oneAlert), header...); w.Code != 200 {
			t.Errorf("%d for the second attempt", w.Code)
		}
	})
}

// TestASignedBodyOverItsLimit: the signature covers all of it, and what is
// within the limit is taken.
func TestASignedBodyOverItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, signedSources+"\nlimits: {body_bytes: 1048576, in_flight_bytes: 16777216}")
		body := "[" + strings.Repeat(strings.Trim(oneAlert, "[]")+",", 40_000)
		body = strings.TrimSuffix(body, ",") + "]"
		if len(body) <= 1<<20 {
			t.Fatal("the body is within its limit")
		}
		if w := b.post("/ingest/prometheus", []byte(body), standard(oldKey, "a", time.Now(), body)...); w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if alerts, broken := b.stored("prometheus"); alerts < 10_000 || broken != 1 {
			t.Errorf("%d alerts and %d pieces stored", alerts, broken)
		}
		if w := b.post("/ingest/prometheus", []byte(body+" "), standard(oldKey, "b", time.Now(), body)...); w.Code != 401 {
			t.Errorf("%d though what comes after the limit is not what was signed", w.Code)
		}
	})
}

// TestUnverifiedBodiesDoNotTakeAllMemory: whoever has no key cannot keep those
// out who have one of another kind.
func TestUnverifiedBodiesDoNotTakeAllMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, signedSources+"\nlimits: {body_bytes: 1048576, in_flight_bytes: 8388608}")
		forged := standard("whsec_"+strings.Repeat("AAAA", 8), "id", time.Now(), "")
		body := bytes.Repeat([]byte(" "), 900_000)
		held := make(chan struct{})
		codes := make(chan int)
		const senders = 8
		for range senders {
			go func() {
				slow := &slowReader{r: bytes.NewReader(body), held: held}
				codes <- b.do("POST", "/ingest/prometheus", slow, forged...).Code
			}()
		}
		synctest.Wait()
		if w := b.post("/ingest/prometheus", []byte(oneAlert), "Authorization", "Bearer t"); w.Code != 200 {
			t.Errorf("%d for a token while unsigned bodies come in", w.Code)
		}
		close(held)
		count := map[int]int{}
		for range senders {
			count[<-codes]++
		}
		if count[401]+count[503] != senders || count[503] == 0 || count[401] == 0 {
			t.Errorf("codes %v, want some refused and some told to come again", count)
		}
		for range 2 { // and nothing of it is kept
			if w := b.do("POST", "/ingest/prometheus", bytes.NewReader(body), forged...); w.Code != 401 {
				t.Errorf("%d afterwards", w.Code)
			}
		}
	})
}

// slowReader gives all but the last byte, then waits.
type slowReader struct {
	r    *bytes.Reader
	held chan struct{}
}

func (s *slowReader) Read(p []byte) (int, error) {
	if s.r.Len() <= 1 {
		<-s.held
	} else {
		p = p[:min(len(p), s.r.Len()-1)]
	}
	return s.r.Read(p)
}

// TestSignaturesOfOneRequestAreBounded: each costs a comparison.
func TestSignaturesOfOneRequestAreBounded(t *testing.T) {
	one := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= "
	for _, n := range []int{1, maxSums, 10 * maxSums} {
		if got := len(standardSums(strings.Repeat(one, n))); got != min(n, maxSums) {
			t.Errorf("of %d signatures %d are compared", n, got)
		}
	}
}

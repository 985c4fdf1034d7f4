//go:build e2e && sec

package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/winnowhq/winnow/benchmarks/programs"
)

// What a flood is made of, and what Winnow may grow by under it.
const (
	h2Time        = 10 * time.Second
	h2Connections = 8
	h2PerSecond   = 50_000 // frames of all connections that cost the server something
	h2Webhooks    = 50     // a second, that are to get through
	h2MiB         = 64
)

// TestHTTP2Floods attacks the built binary with HTTP/2 switched on: streams that
// are reset as soon as they are opened, headers that never end, pings, settings
// and empty data. It prints how long valid webhooks take meanwhile, and holds that
// all of them are answered and that the program does not grow for it.
func TestHTTP2Floods(t *testing.T) {
	var line []string
	defer func() { figures.say("http2", strings.Join(line, " ")) }()
	for _, f := range h2Floods {
		w := newH2Winnow(t)
		before, _ := w.memory()
		sent, opened, took := w.under(f)
		_, most := w.memory()
		at := func(percent int) time.Duration { return took[(len(took)-1)*percent/100].Round(time.Millisecond) }
		line = append(line, fmt.Sprintf("%s=%d/s connections=%d grown=%dMiB p50=%s p99=%s", f.name, sent/int(h2Time/time.Second), opened, most-before, at(50), at(99)))
		if most-before > h2MiB {
			t.Errorf("%s: grown by %d MiB, at most %d", f.name, most-before, h2MiB)
		}
		if sent < 5000 {
			t.Errorf("%s: only %d frames were sent: this was no flood", f.name, sent)
		}
		if len(took) < h2Webhooks {
			t.Errorf("%s: only %d webhooks were sent", f.name, len(took))
		}
		w.end(t)
	}
}

// An h2Flood writes frames for a stream number, and says how many of them cost
// the server something.
type h2Flood struct {
	name string
	each func(b []byte, stream uint32) []byte
}

var h2Floods = []h2Flood{
	{"reset", func(b []byte, stream uint32) []byte {
		b = appendFrame(b, frameHeaders, flagEndHeaders, stream, requestBlock)
		return appendFrame(b, frameReset, 0, stream, binary.BigEndian.AppendUint32(nil, 8))
	}},
	{"continuation", func(b []byte, stream uint32) []byte {
		if stream == 1 {
			b = appendFrame(b, frameHeaders, 0, 1, requestBlock)
		}
		block := append([]byte{0, 8}, fmt.Sprintf("x%07d", stream%1e7)...)
		return appendFrame(b, frameContinuation, 0, 1, append(append(block, 100), bytes.Repeat([]byte("y"), 100)...))
	}},
	{"ping", func(b []byte, _ uint32) []byte { return appendFrame(b, framePing, 0, 0, make([]byte, 8)) }},
	{"settings", func(b []byte, _ uint32) []byte { return appendFrame(b, frameSettings, 0, 0, nil) }},
	{"data", func(b []byte, stream uint32) []byte {
		if stream == 1 {
			b = appendFrame(b, frameHeaders, flagEndHeaders, 1, requestBlock)
		}
		return appendFrame(b, frameData, 0, 1, nil)
	}},
}

const (
	h2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

	frameData, frameHeaders, frameReset, frameSettings, framePing, frameContinuation = 0, 1, 3, 4, 6, 9

	flagEndHeaders = 4
)

// requestBlock is POST https://winnow/ingest/prometheus, by HPACK's static table
// and literals that are not indexed.
var requestBlock = append([]byte{0x83, 0x87, 0x04, 18}, "/ingest/prometheus\x01\x06winnow"...)

func appendFrame(b []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	b = append(b, byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), kind, flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	return append(b, payload...)
}

// h2Winnow is a Winnow behind TLS, with HTTP/2.
type h2Winnow struct {
	*winnow
	client *http.Client
}

func newH2Winnow(t *testing.T) *h2Winnow {
	t.Helper()
	s := httptest.NewTLSServer(nil) // for its certificate
	s.Close()
	key, err := x509.MarshalPKCS8PrivateKey(s.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, b := range map[string][]byte{
		"server.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}),
		"server.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		"web.yml":    []byte("tls_server_config: {cert_file: server.pem, key_file: server.key}\nhttp_server_config: {http2: true}\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := &h2Winnow{stoppedWinnow(t, "route: {receiver: r}\nreceivers: [{name: r}]\n"), &http.Client{
		Timeout:   patience,
		Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	}}
	w.extra = []string{"--web.config.file", filepath.Join(dir, "web.yml")}
	w.launch()
	w.address = w.program.address(t)
	programs.Eventually(t, patience, "it is ready", func() error {
		resp, err := w.client.Get("https://" + w.address + "/-/ready")
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
			return fmt.Errorf("%s by %s", resp.Status, resp.Proto)
		}
		return nil
	})
	return w
}

// under sends webhooks under a flood. It returns how many frames were sent over
// how many connections, and how long the webhooks took, sorted.
func (w *h2Winnow) under(f h2Flood) (sent, opened int, took []time.Duration) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), h2Time)
	defer cancel()
	var frames, connections atomic.Int64
	var wg sync.WaitGroup
	for range h2Connections {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := w.flood(ctx, f, &frames); err != nil && !errors.Is(err, context.DeadlineExceeded) {
					rest(ctx, 10*time.Millisecond) // the server has had enough
				}
				connections.Add(1)
			}
		})
	}
	tick := time.NewTicker(time.Second / h2Webhooks)
	defer tick.Stop()
	for i := 0; ctx.Err() == nil; i++ {
		<-tick.C
		start := time.Now()
		resp, err := w.client.Post("https://"+w.address+"/ingest/prometheus", "application/json",
			strings.NewReader(fmt.Sprintf(`[{"labels":{"alertname":"A","pod":"%d","severity":"critical"}}]`, i)))
		if err != nil {
			w.t.Errorf("%s: a webhook: %v", f.name, err)
			continue
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			w.t.Errorf("%s: a webhook is answered %s", f.name, resp.Status)
		}
		took = append(took, time.Since(start))
	}
	wg.Wait()
	slices.Sort(took)
	return int(frames.Load()), int(connections.Load()), took
}

// flood writes frames to one connection until the server closes it or ctx ends.
func (w *h2Winnow) flood(ctx context.Context, f h2Flood, frames *atomic.Int64) error {
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 5 * time.Second}, Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}}
	conn, err := d.DialContext(ctx, "tcp", w.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	go func() { _, _ = io.Copy(io.Discard, conn) }() // what it answers
	b := appendFrame([]byte(h2Preface), frameSettings, 0, 0, nil)
	start, n := time.Now(), 0
	for stream := uint32(1); ctx.Err() == nil; {
		for range 64 {
			b = f.each(b, stream)
			stream += 2
			n++
		}
		_ = conn.SetWriteDeadline(time.Now().Add(h2Time))
		if _, err := conn.Write(b); err != nil {
			return err
		}
		frames.Add(64)
		b = b[:0]
		if ahead := time.Duration(n)*time.Second/(h2PerSecond/h2Connections) - time.Since(start); ahead > 0 {
			rest(ctx, ahead)
		}
	}
	return ctx.Err()
}

// rest waits for d, or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}

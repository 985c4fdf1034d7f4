package hostile

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"

	"github.com/winnowhq/winnow/alert"
)

// Token is what an authenticated sender shows at every door.
const Token = "the-corpus-has-a-token"

// content is a body under types and encodings that are wrong, odd or unknown.
// The type is not believed; a body is read as what it is.
func content(add func(Case)) {
	f := func(name string, header map[string]string, w Want, body func(source string) []byte) {
		for _, source := range []string{Alertmanager, Prometheus} {
			add(Case{Name: name, Source: source, Header: header, Want: w, Body: func() []byte { return body(source) }})
		}
	}
	good := func(source string) []byte { return list(source, plain(0), plain(1)) }
	fine := Want{Firing: 2, Unmarked: true}
	for _, t := range []string{
		"", "application/json; charset=utf-8", "application/json;charset=utf-16", "APPLICATION/JSON", "text/plain", "text/html", "application/xml", "application/octet-stream",
		"application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "multipart/form-data", "application/problem+json", "application/x-protobuf", "image/png", "*/*", "/", ";", "application/json, text/plain",
		"application/json; charset=\"", strings.Repeat("a", 8000), "\x00", "é",
	} {
		f("type "+clip(t), map[string]string{"Content-Type": t}, fine, good)
	}
	for _, e := range []string{"identity", "IDENTITY", ""} {
		f("encoding "+e, map[string]string{"Content-Encoding": e}, fine, good)
	}
	for _, e := range []string{"gzip", "GZIP", "x-gzip"} {
		f("encoding "+e, map[string]string{"Content-Encoding": e}, fine, func(s string) []byte { return compressed(good(s)) })
		f("encoding "+e+" in name only", map[string]string{"Content-Encoding": e}, fine, good)
	}
	// A body in an encoding that is not known may be plain all the same.
	for _, e := range []string{"br", "deflate", "zstd", "compress", "snappy", "aes128gcm", "gzip, gzip", "gzip,deflate", "*", "gzip;q=1", "x", "utf-8", "<script>"} {
		f("encoding "+e+" in name only", map[string]string{"Content-Encoding": e}, unreadable(2), good)
	}
	f("deflate", map[string]string{"Content-Encoding": "deflate"}, unreadable(0), func(s string) []byte { return deflated(good(s)) })
	f("deflate without a name", nil, unreadable(0), func(s string) []byte { return deflated(good(s)) })
	f("gzip without a name", nil, unreadable(0), func(s string) []byte { return compressed(good(s)) })
	f("gzip of gzip", map[string]string{"Content-Encoding": "gzip"}, unreadable(0), func(s string) []byte { return compressed(compressed(good(s))) })
	f("base64", map[string]string{"Content-Transfer-Encoding": "base64"}, unreadable(0), func(s string) []byte {
		return base64.StdEncoding.AppendEncode(nil, good(s))
	})
	for _, h := range []string{"X-Forwarded-For", "X-HTTP-Method-Override", "Transfer-Encoding", "Expect", "Range", "Accept", "User-Agent", "Cookie", "Origin", "Idempotency-Key"} {
		f("header "+h, map[string]string{h: "\"'<script>\x1b[2J{{ . }}" + strings.Repeat("x", 5000)}, fine, good)
	}
}

func compressed(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(b) // a bytes.Buffer takes all
	_ = z.Close()
	return out.Bytes()
}

func deflated(b []byte) []byte {
	var out bytes.Buffer
	z := zlib.NewWriter(&out)
	_, _ = z.Write(b)
	_ = z.Close()
	return out.Bytes()
}

// zipped are bodies whose compression is damaged. What could be decompressed is
// read.
func zipped(add func(Case)) {
	header := map[string]string{"Content-Encoding": "gzip"}
	f := func(name string, w Want, change func(z []byte) []byte) {
		for _, source := range []string{Alertmanager, Prometheus} {
			plain := len(crowd(source, 50))
			add(Case{Name: name, Source: source, Header: header, Want: w, Plain: plain, Body: func() []byte { return change(compressed(crowd(source, 50))) }})
		}
	}
	const parts = 40
	for i := range parts {
		f(fmt.Sprintf("cut after %d/%d", i, parts), Want{Firing: Some, Problems: Some, Quarantined: 1}, func(z []byte) []byte { return z[:len(z)*i/parts] })
		f(fmt.Sprintf("a bit at %d/%d", i, parts), Want{Firing: Some, Problems: Any, Quarantined: Any}, func(z []byte) []byte {
			z[12+(len(z)-12)*i/parts] ^= 0x10
			return z
		})
	}
	for i := range 12 {
		f(fmt.Sprintf("byte %d of the header", i), Want{Firing: Some, Problems: Any, Quarantined: Any}, func(z []byte) []byte {
			z[i] ^= 0xff
			return z
		})
	}
	whole := Want{Firing: 50}
	f("whole", whole, func(z []byte) []byte { return z })
	f("two members", whole, func(z []byte) []byte { return append(z, compressed(nil)...) })
	f("a thousand members", whole, func(z []byte) []byte { return append(z, bytes.Repeat(compressed(nil), 1000)...) })
	f("blanks in a second member", whole, func(z []byte) []byte { return append(z, compressed([]byte(" \n"))...) })
	broken := Want{Firing: 50, Problems: 1, Quarantined: 1}
	f("more in a second member", broken, func(z []byte) []byte { return append(z, compressed([]byte("x"))...) })
	f("noise behind", broken, func(z []byte) []byte { return append(z, noise(100)...) })
	f("the start of a member behind", broken, func(z []byte) []byte { return append(z, z[:5]...) })
	f("no checksum", broken, func(z []byte) []byte { return z[:len(z)-8] })
	f("a wrong checksum", broken, func(z []byte) []byte { z[len(z)-8] ^= 1; return z })
	f("a wrong length", broken, func(z []byte) []byte { z[len(z)-1] ^= 1; return z })
	f("only the magic number", unreadable(0), func([]byte) []byte { return []byte("\x1f\x8b") })
	f("a header without an end", unreadable(0), func([]byte) []byte {
		return append([]byte("\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\x03"), filled("n", 1<<20)...)
	})
}

// bombs are small bodies that want to be large.
func bombs(add func(Case)) {
	header := map[string]string{"Content-Encoding": "gzip"}
	f := func(name string, w Want, plain int, body func(source string) []byte) {
		for _, source := range []string{Alertmanager, Prometheus} {
			add(Case{Name: name, Source: source, Header: header, Want: w, Plain: plain, Body: func() []byte { return body(source) }})
		}
	}
	const ratioFree = 1 << 20
	nothing := compressed(make([]byte, 16<<20))
	f("16 MiB of nothing", unreadable(0), ratioFree, func(string) []byte { return nothing })
	f("256 MiB of nothing", unreadable(0), ratioFree, func(string) []byte { return bytes.Repeat(nothing, 16) })
	f("1 GiB of nothing", unreadable(0), ratioFree, func(string) []byte { return bytes.Repeat(nothing, 64) })
	f("a bomb in a bomb", unreadable(0), 0, func(string) []byte { return compressed(bytes.Repeat(nothing, 64)) })
	for _, fill := range []string{" ", "[", "9", "x", `"`, "\n", `{"a":`} {
		f("alerts, then 8 MiB of "+clip(fill), unreadable(2), ratioFree, func(s string) []byte {
			body := list(s, plain(0), plain(1))
			end := bytes.LastIndexByte(body, ']')
			return compressed(append(body[:end:end], strings.Repeat(fill, 8<<20/len(fill))...))
		})
	}
	f("2000 alerts alike, which is no bomb", Want{Firing: 2000}, 400_000, func(s string) []byte { return compressed(crowd(s, 2000)) })
	f("30000 alerts alike, which is no bomb", Want{Firing: 30_000}, 9_000_000, func(s string) []byte { return compressed(crowd(s, 30_000)) })
	huge := Want{Firing: Some, Problems: 1, Quarantined: 1}
	for _, source := range []string{Alertmanager, Prometheus} {
		long := func() []byte {
			return list(source, element{json: strings.Repeat(labelled(`"annotations":{"a":"`+filled("x", 8000)+`"}`).json+",", 65<<20/8000) + plain(0).json})
		}
		add(Case{Name: "over the limit", Source: source, Want: huge, Body: long})
		add(Case{Name: "over the limit in chunks", Source: source, Want: huge, Chunked: true, Body: long})
		add(Case{Name: "one string over the limit", Source: source, Want: Want{Firing: 1, Marks: alert.MarkTruncated}, Body: func() []byte {
			return list(source, withLabels(`"x":"`+filled("x", 65<<20)+`"`))
		}})
	}
}

// doors are senders and doors that are not known: the only requests that are
// refused, and none of them carries the credentials of its source.
func doors(add func(Case)) {
	good := func(source string) func() []byte { return func() []byte { return list(source, plain(0)) } }
	basic := base64.StdEncoding.EncodeToString([]byte("user:" + Token))
	for _, source := range []string{Alertmanager, Prometheus} {
		for _, value := range []string{
			"", "Bearer", "Bearer ", "Bearer x", "Bearer " + Token + "x", "Bearer " + Token[1:], "Bearer " + strings.ToUpper(Token), "Bearer" + Token, Token, "Token " + Token, "Basic " + Token, "Basic " + basic,
			"Bearer \x00" + Token, "Bearer " + Token + "\x00", "Bearer <secret>", "Bearer null", "Bearer ' OR 1=1 --", "Bearer " + strings.Repeat("x", 100_000), "Digest username=\"x\"", "Bearer " + Token + "," + Token, "Negotiate x", "Bearer Bearer " + Token,
		} {
			add(Case{
				Name: "credentials " + clip(value), Source: source, Header: map[string]string{"Authorization": value},
				Want: Want{Code: http.StatusUnauthorized}, Body: good(source),
			})
		}
		for _, value := range []string{"bearer " + Token, "BEARER " + Token, "Bearer  " + Token, "Bearer " + Token + " "} {
			add(Case{Name: "credentials " + clip(value), Source: source, Header: map[string]string{"Authorization": value}, Want: expect(plain(0)), Body: good(source)})
		}
		for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "post", "PROPFIND", "X"} {
			add(Case{Name: "method " + method, Source: source, Method: method, Want: Want{Code: http.StatusMethodNotAllowed}, Body: good(source)})
		}
	}
	for _, path := range []string{
		"/", "/ingest", "/ingest/", "/api", "/api/v1/alerts", "/api/v2/alert", "/api/v2/alerts/", "/ingest/alertmanager/", "/ingest/alertmanager/x", "/alertmanager",
	} {
		add(Case{Name: "path " + path, Source: Alertmanager, Path: path, Want: Want{Code: http.StatusNotFound}, Body: good(Alertmanager)})
	}
}

// wire are bodies that come in an odd way, or not to their end.
func wire(add func(Case)) {
	for _, source := range []string{Alertmanager, Prometheus} {
		f := func(name string, c Case) {
			c.Name, c.Source = name, source
			add(c)
		}
		good := func() []byte { return list(source, plain(0), plain(1)) }
		again := Want{Code: http.StatusServiceUnavailable}
		f("in chunks", Case{Chunked: true, Want: Want{Firing: 2}, Body: good})
		f("empty, in chunks", Case{Chunked: true, Want: unreadable(0), Body: text("")})
		for i := range 20 {
			f(fmt.Sprintf("breaks off after %d/19", i), Case{Breaks: true, Want: again, Body: func() []byte {
				b := good()
				return b[:len(b)*i/19]
			}})
			f(fmt.Sprintf("compressed, breaks off after %d/19", i), Case{Breaks: true, Header: map[string]string{"Content-Encoding": "gzip"}, Want: again, Body: func() []byte {
				b := compressed(good())
				return b[:len(b)*i/19]
			}})
		}
	}
}

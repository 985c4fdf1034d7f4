package ingest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// signatureWindow is how far the time in a signature may be from ours, in
// either direction.
const signatureWindow = 5 * time.Minute

// maxSums bounds the signatures of one request that are compared: a sender that
// changes its key sends two.
const maxSums = 16

// signature is a key and where a request says what was signed with it.
type signature struct {
	key     []byte
	grafana bool
	headers []string // grafana: where the signature may stand
	time    string   // grafana: where the time stands
}

func newSignature(h *HMAC) (signature, error) {
	key, err := h.key()
	return signature{
		key: key, grafana: h.Scheme == schemeGrafana,
		headers: h.headers(), time: http.CanonicalHeaderKey(h.TimestampHeader),
	}, err
}

// claim is a signature that a request says it has.
type claim struct {
	mac  hash.Hash // of what stands before the body; the body is to be written
	sums [][]byte
}

type claimState uint8

const (
	unclaimed claimState = iota
	claimedLate
	claimed
)

// claim reads the headers of a request.
func (s *signature) claim(h http.Header, now time.Time) (claim, claimState) {
	var sums [][]byte
	var at, prefix string
	if s.grafana {
		at = h.Get(s.time)
		prefix = at + ":"
		sums = hexSums(h, s.headers)
	} else {
		at = h.Get("Webhook-Timestamp")
		prefix = h.Get("Webhook-Id") + "." + at + "."
		sums = standardSums(h.Get("Webhook-Signature"))
	}
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil || len(sums) == 0 {
		return claim{}, unclaimed
	}
	if sent := time.Unix(seconds, 0); sent.Before(now.Add(-signatureWindow)) || sent.After(now.Add(signatureWindow)) {
		return claim{}, claimedLate
	}
	c := claim{hmac.New(sha256.New, s.key), sums}
	_, _ = io.WriteString(c.mac, prefix)
	return c, claimed
}

// hexSums reads the signature in the first of the headers that is there.
func hexSums(h http.Header, names []string) [][]byte {
	for _, name := range names {
		if sum, err := hex.DecodeString(h.Get(name)); err == nil && len(sum) == sha256.Size {
			return [][]byte{sum}
		}
	}
	return nil
}

// standardSums reads "v1,<base64> v1,<base64>". Other versions are left out:
// they are made with keys of another kind.
func standardSums(list string) [][]byte {
	var out [][]byte
	for s := range strings.FieldsSeq(list) {
		version, text, _ := strings.Cut(s, ",")
		sum, err := base64.StdEncoding.DecodeString(text)
		if version == "v1" && err == nil && len(sum) == sha256.Size && len(out) < maxSums {
			out = append(out, sum)
		}
	}
	return out
}

// mark is the HMAC of a request. No two requests that differ in key, time,
// identifier or body have the same one.
type mark [sha256.Size]byte

// holdsOf returns the mark of the body that has been written to all claims, if
// one of them is true. It compares all.
func holdsOf(claims []claim) (mark, bool) {
	var found mark
	ok := false
	for _, c := range claims {
		sum := c.mac.Sum(nil)
		for _, s := range c.sums {
			if hmac.Equal(sum, s) {
				ok = true
				found = mark(sum)
			}
		}
	}
	return found, ok
}

// signedBody reads a body as it is on the wire and has every claim see it, also
// what is over the limit.
func signedBody(r *http.Request, room *room, l *Limits, claims []claim) (*body, error) {
	macs := make([]io.Writer, len(claims))
	for i := range claims {
		macs[i] = claims[i].mac
	}
	src := io.TeeReader(r.Body, io.MultiWriter(macs...))
	length := int(min(max(r.ContentLength, 0), int64(l.BodyBytes)))
	b, err := newBody(room, min(length, firstReadBytes)+minReadBytes)
	if err != nil {
		return nil, err
	}
	switch err := b.fillTo(src, l.BodyBytes, length); err {
	case nil:
	case errTooLarge:
		b.cutTo(l.BodyBytes)
	default:
		b.release()
		return nil, err
	}
	if b.short != "" {
		_, err = io.CopyN(io.Discard, src, drainBytes)
		if err != nil && err != io.EOF {
			b.release()
			return nil, err
		}
	}
	return b, nil
}

// again is a request's body, to be read once more from memory.
func again(b *body) io.ReadCloser { return io.NopCloser(bytes.NewReader(b.text)) }

// admission is why a request was let in, and what has to be done at its end.
type admission struct {
	signed  *body // nil where no signature was needed
	mark    mark
	replays *Replays
}

// end gives up what admission holds. A signed request that was not stored may
// come again as it is.
func (a *admission) end(stored bool) {
	if a.signed == nil {
		return
	}
	a.signed.release()
	if !stored {
		a.replays.forget(a.mark)
	}
}

// keep has the next life remember that the request was admitted. It is stored.
func (a *admission) keep(now time.Time) error {
	if a.signed == nil {
		return nil
	}
	return a.replays.keep(a.mark, now)
}

// Why a request was refused.
const (
	refusedCredentials = "credentials" // none that are known
	refusedClock       = "clock"       // signed too long ago or in the future
	refusedReplay      = "replay"      // signed, and seen before
)

// admit authenticates r: by its headers and its connection where they are
// enough, else by the signature of its body, which it reads for that. The
// error is that of reading.
func (d *door) admit(r *http.Request, now time.Time) (a admission, refusal string, err error) {
	if d.keys.admits(r) {
		return a, "", nil
	}
	claims, late := d.keys.claims(r, now)
	switch {
	case len(claims) > 0:
	case late:
		return a, refusedClock, nil
	default:
		return a, refusedCredentials, nil
	}
	signed, err := signedBody(r, &d.unverified, &d.Config.Limits, claims)
	if err != nil {
		return a, "", err
	}
	m, ok := holdsOf(claims)
	switch {
	case !ok:
		refusal = refusedCredentials
	case !d.Replays.take(m):
		refusal = refusedReplay
	}
	if refusal != "" {
		signed.release()
		return a, refusal, nil
	}
	r.Body = again(signed)
	return admission{signed, m, d.Replays}, "", nil
}

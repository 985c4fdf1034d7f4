package dedupe

import (
	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/wire"
)

const stateVersion = 1

// AppendState writes the table: the same table always as the same bytes, and
// LoadState makes of them a table that will answer everything as this one does,
// down to the Refs that it will give out.
func (t *Table) AppendState(w *wire.Writer) {
	w.Byte(stateVersion)
	w.Uint(uint64(len(t.texts.symbols)))
	for _, s := range t.texts.symbols {
		w.String(s)
	}
	for _, h := range t.texts.seen {
		w.Uint(uint64(h))
	}
	w.Uint(uint64(len(t.entries)))
	w.Uint(uint64(t.n))
	base := alert.Time(0)
	for ref := range t.entries {
		e := &t.entries[ref]
		if !e.live {
			continue
		}
		w.Uint(uint64(ref))
		w.Fixed(uint64(e.fingerprint))
		w.Fixed(e.annotations)
		w.Int(int64(e.startsAt - base))
		w.Int(int64(e.endsAt - e.startsAt))
		w.Int(int64(e.seenAt - e.startsAt))
		w.Uint(uint64(e.deliveries))
		w.Bool(e.timeout)
		w.Bool(e.frozen)
		w.Bytes(e.text)
		base = e.startsAt
	}
	w.Uint(uint64(len(t.free)))
	for _, r := range t.free {
		w.Uint(uint64(r))
	}
}

// LoadState reads what AppendState wrote.
func LoadState(r *wire.Reader) *Table {
	t := NewTable()
	if v := r.Byte(); v != stateVersion {
		r.Fail("table of version %d, want %d", v, stateVersion)
		return t
	}
	t.texts.load(r)
	size := int(r.Uint32()) // no list: refs that are free take no bytes
	n := r.Count(20)
	if size < 1 || n >= size || size > n+r.Left()+1 {
		r.Fail("%d alerts of %d", n, size)
		return t
	}
	t.entries = make([]entry, size)
	for len(t.slots) < 2*(n+1) {
		t.slots = make([]slot, 2*len(t.slots))
	}
	base := alert.Time(0)
	for range n {
		ref := r.Uint32()
		if ref == 0 || int(ref) >= size || t.entries[ref].live {
			r.Fail("alert %d of %d, or twice", ref, size)
			return t
		}
		t.loadEntry(r, Ref(ref), base)
		base = t.entries[ref].startsAt
	}
	t.loadFree(r)
	return t
}

func (t *Table) loadEntry(r *wire.Reader, ref Ref, base alert.Time) {
	e := &t.entries[ref]
	e.live = true
	e.fingerprint = alert.Fingerprint(r.Fixed())
	e.annotations = r.Fixed()
	e.startsAt = base + alert.Time(r.Int())
	e.endsAt = e.startsAt + alert.Time(r.Int())
	e.seenAt = e.startsAt + alert.Time(r.Int())
	e.deliveries = r.Uint32()
	e.timeout, e.frozen = r.Bool(), r.Bool()
	e.text = append([]byte(nil), r.Bytes()...)
	if !t.texts.sound(e.text) {
		r.Fail("text of alert %d", ref)
		return
	}
	t.n++
	t.place(slot{ref, tag(e.fingerprint)}, uint64(e.fingerprint))
}

// loadFree reads the free refs: each one exactly that is not in use.
func (t *Table) loadFree(r *wire.Reader) {
	want := len(t.entries) - 1 - t.n
	if n := r.Count(1); n != want {
		r.Fail("%d free refs, want %d", n, want)
		return
	}
	taken := make([]bool, len(t.entries))
	for range want {
		ref := r.Uint32()
		if ref == 0 || int(ref) >= len(t.entries) || t.entries[ref].live || taken[ref] {
			r.Fail("free ref %d", ref)
			return
		}
		taken[ref] = true
		t.free = append(t.free, Ref(ref))
	}
}

func (s *texts) load(r *wire.Reader) {
	n := r.Count(1)
	if n > maxSymbols {
		r.Fail("%d symbols", n)
		return
	}
	s.symbols = make([]string, 0, n)
	s.index = make(map[string]uint32, n)
	for i := range n {
		v := r.String()
		s.symbols = append(s.symbols, v)
		s.index[v] = uint32(i)
	}
	for i := range s.seen {
		s.seen[i] = r.Uint32()
	}
}

// sound reports whether packed text can be read without fear.
func (s *texts) sound(b []byte) bool {
	r := wire.NewReader(b)
	str := func() {
		u := r.Uint()
		if u&1 == 1 {
			if u>>1 >= uint64(len(s.symbols)) {
				r.Fail("symbol %d", u>>1)
			}
			return
		}
		if u>>1 > uint64(r.Left()) {
			r.Fail("length %d", u>>1)
			return
		}
		for range u >> 1 {
			r.Byte()
		}
	}
	for range 2 {
		for range 2 * r.Count(2) {
			str()
		}
	}
	str()
	return r.End() == nil
}

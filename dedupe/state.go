package dedupe

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/wire"
)

// stateVersion is what is written. Older ones are read as well: 1 had no tags and
// no dictionaries, 2 no bases.
const stateVersion = 3

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
	for _, b := range t.texts.bases {
		w.Uint(uint64(b.symbol))
		w.Byte(b.tries)
	}
	w.Uint(uint64(t.entries.Len()))
	w.Uint(uint64(t.entries.Len() - 1 - len(t.free)))
	base := alert.Time(0)
	for ref := range t.entries.Len() {
		e := t.at(Ref(ref))
		if e.flags == 0 {
			continue
		}
		w.Uint(uint64(ref))
		w.Fixed(uint64(e.fingerprint))
		w.Fixed(e.annotations)
		w.Int(int64(e.startsAt - base))
		w.Int(int64(e.endsAt - e.startsAt))
		w.Int(int64(e.seenAt - e.startsAt))
		w.Uint(uint64(e.deliveries))
		w.Byte(byte(e.flags))
		w.Uint(uint64(e.tag))
		w.Uint(uint64(e.dictionary))
		w.Bytes(t.store.get(e.text))
		base = e.startsAt
	}
	w.Uint(uint64(len(t.free)))
	for _, r := range t.free {
		w.Uint(uint64(r))
	}
	t.appendDictionaries(w)
}

func (t *Table) appendDictionaries(w *wire.Writer) {
	w.Uint(uint64(t.ordinal))
	for _, d := range t.dictionaries {
		w.Bool(d != nil)
		if d == nil {
			continue
		}
		w.Fixed(d.id)
		w.Uint(uint64(d.ordinal))
		w.Uint(uint64(d.words.Len()))
		before := Ref(0)
		for number := range d.words.Len() {
			k := d.words.At(uint32(number))
			e := t.at(k.ref)
			w.Int(int64(k.ref) - int64(before))
			if before = k.ref; k.ref == 0 {
				continue
			}
			same := k.text == uint32(e.annotations)
			w.Bool(same)
			if !same {
				w.Uint(uint64(k.text))
			}
			w.Int(int64(k.startsAt - e.startsAt))
		}
		aside := sortedAside(d)
		w.Uint(uint64(len(aside)))
		for _, o := range aside {
			w.Uint(uint64(o.ref))
			w.Uint(uint64(o.text))
			w.Bytes(t.store.get(d.aside[o]))
		}
		w.Uint(uint64(len(d.parked)))
		for _, r := range d.parked {
			w.Uint(uint64(r))
		}
	}
}

// LoadState reads what AppendState wrote.
func LoadState(r *wire.Reader) *Table {
	t := NewTable()
	version := r.Byte()
	if version < 1 || version > stateVersion {
		r.Fail("table of version %d, want %d at most", version, stateVersion)
		return t
	}
	t.texts.load(r, version)
	size := int(r.Uint32()) // no list: refs that are free take no bytes
	n := r.Count(20)
	if size < 1 || n >= size || size > n+r.Left()+1 {
		r.Fail("%d alerts of %d", n, size)
		return t
	}
	t.entries.Grow(size)
	for len(t.slots) < 2*(n+1) {
		t.slots = make(Slots, 2*len(t.slots))
	}
	base := alert.Time(0)
	for range n {
		ref := r.Uint32()
		if ref == 0 || int(ref) >= size || t.at(Ref(ref)).flags != 0 {
			r.Fail("alert %d of %d, or twice", ref, size)
			return t
		}
		t.loadEntry(r, Ref(ref), base, version)
		base = t.at(Ref(ref)).startsAt
	}
	t.loadFree(r, size-1-n)
	if version > 1 && r.Err() == nil {
		t.loadDictionaries(r, version)
	}
	return t
}

func (t *Table) loadEntry(r *wire.Reader, ref Ref, base alert.Time, version byte) {
	e := t.at(ref)
	e.flags = live
	e.fingerprint = alert.Fingerprint(r.Fixed())
	e.annotations = r.Fixed()
	e.startsAt = base + alert.Time(r.Int())
	e.endsAt = e.startsAt + alert.Time(r.Int())
	e.seenAt = e.startsAt + alert.Time(r.Int())
	e.deliveries = r.Uint32()
	if version == 1 {
		e.flags.set(timeout, r.Bool())
		e.flags.set(frozen, r.Bool())
	} else {
		e.flags = flags(r.Byte())
		e.tag = r.Uint32()
		e.dictionary = uint16(r.Uint32())
	}
	if f := e.flags & (live | parked); f != live && f != parked {
		r.Fail("flags %d of alert %d", e.flags, ref)
		return
	}
	e.text = t.loadText(r, owner(ref), version)
	if r.Err() != nil || e.flags&live == 0 {
		return
	}
	t.n++
	t.place(ref, e.fingerprint)
}

func (t *Table) loadText(r *wire.Reader, o owner, version byte) place {
	text := r.Bytes()
	if !t.texts.sound(text, version) {
		r.Fail("text of alert %d", o)
		return 0
	}
	if version < 3 {
		t.packed = t.texts.renew(t.packed[:0], text)
		text = t.packed
	}
	return t.store.put(o, text)
}

func (t *Table) loadDictionaries(r *wire.Reader, version byte) {
	t.ordinal = uint16(r.Uint32())
	kept := make([]bool, t.entries.Len()) // by a list of those parked
	for i := range t.dictionaries {
		if !r.Bool() {
			continue
		}
		d := &dictionary{id: r.Fixed(), ordinal: uint16(r.Uint32()), aside: map[other]place{}}
		if t.byOrdinal(d.ordinal) != nil || t.dictionary(d.id) != nil || i > 0 && t.dictionaries[i-1] == nil {
			r.Fail("dictionary %d twice", d.id)
			return
		}
		t.loadWords(r, d)
		t.loadAside(r, d, version)
		for range r.Count(1) {
			ref := r.Uint32()
			if int(ref) >= t.entries.Len() || t.at(Ref(ref)).flags&parked == 0 || kept[ref] {
				r.Fail("alert %d is not parked, or twice", ref)
				return
			}
			kept[ref] = true
			d.parked = append(d.parked, Ref(ref))
		}
		t.dictionaries[i] = d
	}
	for ref := range t.entries.Len() {
		if t.at(Ref(ref)).flags&parked != 0 && !kept[ref] {
			r.Fail("alert %d is parked nowhere", ref)
			return
		}
	}
}

func (t *Table) loadWords(r *wire.Reader, d *dictionary) {
	n := r.Count(1)
	if n > MaxNumber {
		r.Fail("%d numbers", n)
		return
	}
	ref := int64(0)
	for number := range n {
		ref += r.Int()
		if ref < 0 || ref >= int64(t.entries.Len()) || ref > 0 && t.at(Ref(ref)).flags == 0 {
			r.Fail("number %d stands for alert %d", number, ref)
			return
		}
		k := word{ref: Ref(ref)}
		if ref > 0 {
			e := t.at(k.ref)
			if k.text = uint32(e.annotations); !r.Bool() {
				k.text = r.Uint32()
			}
			k.startsAt = e.startsAt + alert.Time(r.Int())
		}
		if r.Err() != nil {
			return
		}
		*d.words.At(d.words.Add()) = k
	}
}

func (t *Table) loadAside(r *wire.Reader, d *dictionary, version byte) {
	for range r.Count(3) {
		o := other{Ref(r.Uint32()), r.Uint32()}
		if o.ref == 0 || int(o.ref) >= t.entries.Len() || t.at(o.ref).flags == 0 {
			r.Fail("a text of alert %d", o.ref)
			return
		}
		if _, kept := t.findAside(o); kept != nil || d.aside[o] != 0 {
			r.Fail("a text of alert %d twice", o.ref)
			return
		}
		p := t.loadText(r, owner(o.ref)|ownedAside, version)
		if r.Err() != nil {
			return
		}
		if uint32(t.texts.hashAnnotations(t.store.get(p))) != o.text {
			r.Fail("a text of alert %d is another", o.ref)
			return
		}
		d.aside[o] = p
	}
}

// loadFree reads the free refs: each one exactly that is not in use.
func (t *Table) loadFree(r *wire.Reader, want int) {
	if n := r.Count(1); n != want {
		r.Fail("%d free refs, want %d", n, want)
		return
	}
	taken := make([]bool, t.entries.Len())
	for range want {
		ref := r.Uint32()
		if ref == 0 || int(ref) >= t.entries.Len() || t.at(Ref(ref)).flags != 0 || taken[ref] {
			r.Fail("free ref %d", ref)
			return
		}
		taken[ref] = true
		t.free = append(t.free, Ref(ref))
	}
}

func (s *texts) load(r *wire.Reader, version byte) {
	n := r.Count(1)
	if n > maxSymbols {
		r.Fail("%d symbols", n)
		return
	}
	s.symbols = make([]string, 0, n)
	for range n {
		v := r.String()
		h := xxhash.Sum64String(v)
		k := s.find(v, h)
		if k.number != 0 {
			r.Fail("symbol %q twice", v)
			return
		}
		s.add(v, k, h)
	}
	for i := range s.seen {
		s.seen[i] = r.Uint32()
	}
	if version < 3 {
		return
	}
	for i := range s.bases {
		s.bases[i] = base{r.Uint32(), r.Byte()}
		if s.bases[i].symbol > uint32(n) {
			r.Fail("base %d is symbol %d", i, s.bases[i].symbol)
		}
	}
}

// renew packs a text of version 2 anew, whose annotations and URL were strings as
// those of labels are.
func (s *texts) renew(dst, b []byte) []byte {
	rest := s.skip(b)
	dst = append(dst, b[:len(b)-len(rest)]...)
	count, n := binary.Uvarint(rest)
	dst = append(dst, rest[:n]...)
	rest = rest[n:]
	for i := range 2*count + 1 {
		name := i%2 == 0 && i < 2*count
		u, n := binary.Uvarint(rest)
		form := u
		if !name {
			form = u>>1<<formBits | u&1
		}
		dst = binary.AppendUvarint(dst, form)
		rest = rest[n:]
		if u&1 == 0 {
			dst, rest = append(dst, rest[:u>>1]...), rest[u>>1:]
		}
	}
	return dst
}

// sound reports whether packed text can be read without fear.
func (s *texts) sound(b []byte, version byte) bool {
	r := wire.NewReader(b)
	pass := func(n uint64) {
		if n > uint64(r.Left()) {
			r.Fail("length %d", n)
			return
		}
		for range n {
			r.Byte()
		}
	}
	str := func() {
		u := r.Uint()
		if u&1 == 1 {
			if u>>1 >= uint64(len(s.symbols)) {
				r.Fail("symbol %d", u>>1)
			}
			return
		}
		pass(u >> 1)
	}
	text := func() {
		u := r.Uint()
		n := u >> formBits
		switch form := u & (1<<formBits - 1); {
		case form == inline:
			pass(n)
		case form > alike || n >= uint64(len(s.symbols)):
			r.Fail("form %d of symbol %d", form, n)
		case form == alike:
			if head, tail, most := r.Uint(), r.Uint(), uint64(len(s.symbols[n])); head > most || tail > most-head {
				r.Fail("%d and %d of %d bytes", head, tail, most)
			}
			pass(r.Uint())
		}
	}
	if version < 3 {
		text = str
	}
	for range 2 * r.Count(2) {
		str()
	}
	for range r.Count(2) {
		str()
		text()
	}
	text()
	return r.End() == nil
}

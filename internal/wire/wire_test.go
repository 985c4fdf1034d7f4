package wire

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"
)

func TestRoundTrip(t *testing.T) {
	var w Writer
	w.Uint(math.MaxUint64)
	w.Int(math.MinInt64)
	w.Int(math.MaxInt64)
	w.Fixed(7)
	w.Byte(9)
	w.Bool(true)
	w.String("naïve\x00")
	w.Bytes(nil)
	w.Uint(math.MaxUint32)
	r := NewReader(w.B)
	if r.Uint() != math.MaxUint64 || r.Int() != math.MinInt64 || r.Int() != math.MaxInt64 || r.Fixed() != 7 || r.Byte() != 9 ||
		!r.Bool() || r.String() != "naïve\x00" || len(r.Bytes()) != 0 || r.Uint32() != math.MaxUint32 || r.End() != nil {
		t.Errorf("something came back changed: %v", r.Err())
	}
}

func TestPiecesAreTheWhole(t *testing.T) {
	write := func(w *Writer) {
		for i := range 100 {
			w.Uint(uint64(i) << i % 60)
			w.Int(-int64(i))
			w.Fixed(uint64(i))
			w.Bool(i%2 == 0)
			w.String("word")
			w.Bytes(make([]byte, i))
		}
	}
	var whole Writer
	write(&whole)
	for _, size := range []int{1, 7, 64, 1 << 20} {
		var got []byte
		w := NewPassingWriter(size, func(b []byte) {
			if len(b) != size {
				t.Fatalf("a piece of %d bytes, want %d", len(b), size)
			}
			got = append(got, b...)
		})
		write(w)
		if len(w.B) >= size {
			t.Errorf("%d bytes of pieces of %d are left", len(w.B), size)
		}
		if got = append(got, w.B...); !bytes.Equal(got, whole.B) {
			t.Errorf("in pieces of %d: other bytes", size)
		}
	}
}

func TestDamageIsAnError(t *testing.T) {
	f := func(what string, b []byte, read func(*Reader)) {
		t.Helper()
		r := NewReader(b)
		read(r)
		if !errors.Is(r.End(), ErrCorrupt) {
			t.Errorf("%s: error %v", what, r.Err())
		}
		if r.Uint() != 0 || r.String() != "" || r.Count(1) != 0 || r.Left() != 0 {
			t.Errorf("%s: it goes on reading", what)
		}
	}
	f("nothing there", nil, func(r *Reader) { r.Byte() })
	f("half an integer", []byte{0x80}, func(r *Reader) { r.Uint() })
	f("seven bytes", make([]byte, 7), func(r *Reader) { r.Fixed() })
	f("too many bytes", []byte{1, 2}, func(r *Reader) { r.Byte() })
	f("a vast string", []byte{0xff, 0xff, 0xff, 0xff, 0x7f}, func(r *Reader) { _ = r.String() })
	f("a list that cannot fit", []byte{3, 0, 0, 0, 0}, func(r *Reader) { r.Count(2) })
	f("no truth value", []byte{2}, func(r *Reader) { r.Bool() })
	f("over 32 bits", []byte{0x80, 0x80, 0x80, 0x80, 0x10}, func(r *Reader) { r.Uint32() })
}

func TestIndexes(t *testing.T) {
	var w Writer
	want := []uint32{0, 1, 127, 128, 300, 16383, 16384, 1 << 30, 5}
	for _, v := range want {
		w.Uint(uint64(v))
	}
	w.Byte(9)
	r := NewReader(w.B)
	if got := r.Indexes([]uint32{7}, len(want), 1<<30+1); !slices.Equal(got[1:], want) || got[0] != 7 || r.Byte() != 9 || r.End() != nil {
		t.Errorf("%v came back as %v: %v", want, got, r.Err())
	}
	f := func(what string, b []byte, n, below int) {
		t.Helper()
		r := NewReader(b)
		r.Indexes(nil, n, below)
		if !errors.Is(r.Err(), ErrCorrupt) || len(r.Indexes(nil, 1, below)) != 0 {
			t.Errorf("%s: error %v", what, r.Err())
		}
	}
	f("one too large", []byte{1, 5}, 2, 5)
	f("one of two bytes too large", []byte{0x80, 1}, 1, 128)
	f("half of one", []byte{1, 0x80}, 2, 500)
	f("too few", []byte{1}, 2, 5)
	f("more than 64 bits", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, 1, 500)
}

// TestSkip passes over integers as reading them does, whole and damaged.
func TestSkip(t *testing.T) {
	var w Writer
	for _, v := range []uint64{0, 127, 128, 16383, 16384, 1 << 63} {
		w.Uint(v)
	}
	w.Byte(9)
	damaged := append(slices.Clone(w.B[:4]), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1)
	for _, b := range [][]byte{w.B, damaged, w.B[:5], {0x80}, nil} {
		for n := range 9 {
			one, all := NewReader(b), NewReader(b)
			for range n {
				one.Uint()
			}
			all.Skip(n)
			all.Skip(0)
			if one.Left() != all.Left() || (one.Err() == nil) != (all.Err() == nil) || one.Err() != nil && one.Err().Error() != all.Err().Error() {
				t.Errorf("%x: %d integers leave %d bytes and %v, skipped %d and %v", b, n, one.Left(), one.Err(), all.Left(), all.Err())
			}
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte{1, 2, 3}, []byte{0, 1, 2, 3, 4, 5, 6, 7})
	f.Fuzz(func(t *testing.T, b, script []byte) {
		r := NewReader(b)
		for _, s := range script {
			switch s % 8 {
			case 0:
				r.Uint()
			case 1:
				r.Int()
			case 2:
				r.Fixed()
			case 3:
				r.Byte()
			case 4:
				_ = r.String()
			case 5:
				if n := r.Count(2); n > len(b) {
					t.Fatalf("a list of %d in %d bytes", n, len(b))
				}
			case 6:
				r.Bool()
			case 7:
				r.Uint32()
			}
		}
	})
}

package ingest

import (
	"crypto/rand"
	"encoding/binary"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// A Dictionary knows alerts that stand in the log in full by the bytes in which
// they came, all but their end. One that comes in the same bytes again need not
// be read, and goes into the log as a number. What is not firing, or was not
// clean, is never in it.
//
// The bytes are known by 96 bits of hashes under keys that are made anew for
// each dictionary and never leave the process, so nobody can make two alerts
// that it takes for one, and chance does not either.
//
// It is safe for concurrent use. Looking up takes no lock.
type Dictionary struct {
	id    uint64
	seeds [4]maphash.Seed
	born  time.Time
	next  atomic.Uint32 // number

	table atomic.Pointer[[]slot]
	mu    sync.Mutex // of those who write to it
	n     int
	most  int // MaxRemembered
}

// slot is empty while its hash is 0, and what stands in one never changes. Its
// hash is read and written atomically, and its value before the hash is written
// and after it was read.
type slot struct {
	hash  uint64
	value uint64 // 32 further bits of hash, and the number
}

const (
	// DictionaryAge is how long a dictionary is in use: each alert stands in the
	// log in full once in that time, if its sender repeats it.
	DictionaryAge = 15 * time.Minute

	// MaxRemembered bounds the alerts of a dictionary, at 32 bytes each. What
	// comes beyond is read, and stands in the log in full.
	MaxRemembered = 1 << 23

	firstSlots = 1 << 12
)

// key is what a piece of a body is known by.
type key struct {
	hash uint64 // 0 for none
	more uint32
}

func newDictionary(now time.Time) *Dictionary {
	var id [8]byte
	_, _ = rand.Read(id[:]) // it never fails
	d := &Dictionary{id: binary.LittleEndian.Uint64(id[:]), born: now, most: MaxRemembered}
	for i := range d.seeds {
		d.seeds[i] = maphash.MakeSeed()
	}
	slots := make([]slot, firstSlots)
	d.table.Store(&slots)
	return d
}

// key hashes what stands before and behind the end of an alert, as a dialect
// reads it.
func (d *Dictionary) key(dialect uint64, before, behind []byte) key {
	const odd = 0x9e3779b97f4a7c15
	h := maphash.Bytes(d.seeds[0], before) + odd*(maphash.Bytes(d.seeds[1], behind)+dialect)
	more := maphash.Bytes(d.seeds[2], before) + odd*(maphash.Bytes(d.seeds[3], behind)+dialect)
	return key{h | 1, uint32(more >> 32)}
}

// find returns the number of what has a key.
func (d *Dictionary) find(k key) (number uint32, ok bool) {
	slots := *d.table.Load()
	mask := uint64(len(slots) - 1)
	for i := k.hash >> 20 & mask; ; i = (i + 1) & mask {
		switch atomic.LoadUint64(&slots[i].hash) {
		case 0:
			return 0, false
		case k.hash:
			if v := slots[i].value; uint32(v>>32) == k.more {
				return uint32(v), true
			}
		}
	}
}

// take returns the first of n numbers that nobody else gets.
func (d *Dictionary) take(n int) uint32 { return d.next.Add(uint32(n)) - uint32(n) }

// learn notes that alerts are durable: the first with number first, and so on.
// Those without a key are passed over.
func (d *Dictionary) learn(keys []key, first uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, k := range keys {
		if k.hash == 0 || d.n >= d.most {
			continue
		}
		slots := *d.table.Load()
		if 2*(d.n+1) > len(slots) {
			slots = d.grow(slots)
		}
		if insert(slots, k, first+uint32(i)) {
			d.n++
		}
	}
}

func insert(slots []slot, k key, number uint32) bool {
	mask := uint64(len(slots) - 1)
	for i := k.hash >> 20 & mask; ; i = (i + 1) & mask {
		s := &slots[i]
		switch s.hash { // who writes to it holds the lock
		case 0:
			s.value = uint64(k.more)<<32 | uint64(number)
			atomic.StoreUint64(&s.hash, k.hash)
			return true
		case k.hash:
			if uint32(s.value>>32) == k.more {
				return false // somebody was faster
			}
		}
	}
}

// grow returns twice as many slots with what stands in the old ones. Nobody sees
// the new ones before all of it is there.
func (d *Dictionary) grow(old []slot) []slot {
	slots := make([]slot, 2*len(old))
	mask := uint64(len(slots) - 1)
	for i := range old {
		if old[i].hash == 0 {
			continue
		}
		at := old[i].hash >> 20 & mask
		for slots[at].hash != 0 {
			at = (at + 1) & mask
		}
		slots[at] = old[i]
	}
	d.table.Store(&slots)
	return slots
}

// Dictionaries hands out the one in use. It outlives a reload.
type Dictionaries struct {
	current atomic.Pointer[Dictionary]
	mu      sync.Mutex
}

// at returns the dictionary in use at a time.
func (ds *Dictionaries) at(now time.Time) *Dictionary {
	if d := ds.current.Load(); d != nil && now.Sub(d.born) < DictionaryAge {
		return d
	}
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if d := ds.current.Load(); d != nil && now.Sub(d.born) < DictionaryAge {
		return d
	}
	d := newDictionary(now)
	ds.current.Store(d)
	return d
}

// Renew begins a new dictionary, so that every alert stands in the log in full
// when it comes next: for when it is not certain what the log holds.
func (ds *Dictionaries) Renew() { ds.current.Store(nil) }

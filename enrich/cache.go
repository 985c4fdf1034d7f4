package enrich

import (
	"fmt"
	"sync"
	"time"

	"github.com/dgraph-io/ristretto/v2"
)

const (
	minCacheBytes       = 64 << 10
	maxCachedKeyBytes   = 16 << 10 // longer inputs are rendered each time
	cachedOverheadBytes = 128      // of an entry, beside its strings
	typicalEntryBytes   = 512      // only to size the admission counters
)

// rendered is what a rule made of one alert: a link, or the reason for none.
type rendered struct {
	key  string // compared in full on a hit: a collision of hashes finds nothing
	url  string
	note string
}

// linkCache keeps rendered links. It may lose any of them at any time, which
// costs a rendering and changes nothing else.
type linkCache struct {
	ttl time.Duration

	// mu keeps use away from close: ristretto panics on a Set that races with
	// its Close, and a look-up may outlive its deadline.
	mu     sync.RWMutex
	closed bool
	c      *ristretto.Cache[string, rendered]
}

func newLinkCache(sizeBytes int64, ttl time.Duration) (*linkCache, error) {
	c, err := ristretto.NewCache(&ristretto.Config[string, rendered]{
		NumCounters: 10 * max(sizeBytes/typicalEntryBytes, 1), // ten per entry, as ristretto advises
		MaxCost:     sizeBytes,
		BufferItems: 64, // as ristretto advises
	})
	if err != nil {
		return nil, fmt.Errorf("enrich: creating the link cache of %d bytes: %w", sizeBytes, err)
	}
	return &linkCache{ttl: ttl, c: c}, nil
}

// get returns what was kept under key.
func (lc *linkCache) get(key []byte) (rendered, bool) {
	if len(key) > maxCachedKeyBytes {
		return rendered{}, false
	}
	lc.mu.RLock()
	defer lc.mu.RUnlock()
	if lc.closed {
		return rendered{}, false
	}
	r, ok := lc.c.Get(string(key))
	if !ok || r.key != string(key) {
		return rendered{}, false
	}
	return r, true
}

// put keeps r under key, if ristretto finds it worth its cost.
func (lc *linkCache) put(key []byte, r rendered) {
	if len(key) > maxCachedKeyBytes {
		return
	}
	r.key = string(key)
	lc.mu.RLock()
	defer lc.mu.RUnlock()
	if lc.closed {
		return
	}
	costBytes := int64(len(r.key) + len(r.url) + len(r.note) + cachedOverheadBytes)
	lc.c.SetWithTTL(r.key, r, costBytes, lc.ttl)
}

func (lc *linkCache) close() {
	lc.mu.Lock()
	defer lc.mu.Unlock()
	if !lc.closed {
		lc.closed = true
		lc.c.Close()
	}
}

package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

const (
	// passwordQueue is how many requests may wait for bcrypt, the one that
	// computes included. One more is told to come again.
	passwordQueue = 16

	// passwordTimeout is how long a request waits for bcrypt.
	passwordTimeout = 5 * time.Second

	// rememberedPasswords bounds each kind of result that is kept: who was right,
	// and who was wrong. At the limit the oldest goes, and costs bcrypt again.
	rememberedPasswords = 1024

	// After a wrong password bcrypt rests for a multiple of the time that it
	// took, so that guessing costs at most a quarter of a core. Whoever is right
	// makes nobody wait.
	restFactor = 3
	maxRest    = 500 * time.Millisecond

	// maxBcryptCost takes about a second, during which nobody else can log in.
	maxBcryptCost = 14
)

var errBusy = errors.New("access: busy")

// passwords compares passwords with bcrypt, one at a time, and remembers how that
// ended. Right and wrong ones are kept apart: a flood of wrong ones
// does not make anybody who was right wait.
type passwords struct {
	key   [sha256.Size]byte // of this process
	queue chan struct{}
	core  chan struct{}

	mu    sync.Mutex
	right memory
	wrong memory
}

func newPasswords() *passwords {
	p := &passwords{queue: make(chan struct{}, passwordQueue), core: make(chan struct{}, 1), right: newMemory(), wrong: newMemory()}
	_, _ = rand.Read(p.key[:]) // it never fails
	return p
}

// login is the caller that a user and a password stand for. Who does not exist
// costs as much as a wrong password.
func (r *Rules) login(ctx context.Context, p *passwords, name, password string) (Caller, error) {
	if len(r.users) == 0 {
		return Caller{}, nil
	}
	u, known := r.users[name]
	if !known {
		u.hash = r.web.decoy
	}
	right, err := p.compare(ctx, name, password, u.hash)
	if err != nil || !right || !known {
		return Caller{}, err
	}
	return Caller{name, u.role}, nil
}

// compare reports whether the password of a user has this hash.
func (p *passwords) compare(ctx context.Context, name, password string, hash []byte) (bool, error) {
	d := p.digest(name, password, hash)
	if right, known := p.recall(d); known {
		return right, nil
	}
	select {
	case p.queue <- struct{}{}:
		defer func() { <-p.queue }()
	default:
		return false, errBusy
	}
	select {
	case p.core <- struct{}{}:
	case <-ctx.Done():
		return false, errBusy
	}
	if right, known := p.recall(d); known { // another request of theirs has just paid for it
		<-p.core
		return right, nil
	}
	start := time.Now()
	right := bcrypt.CompareHashAndPassword(hash, []byte(password)) == nil
	p.remember(d, right)
	if right {
		<-p.core
	} else {
		time.AfterFunc(min(restFactor*time.Since(start), maxRest), func() { <-p.core })
	}
	return right, nil
}

type passwordDigest [sha256.Size]byte

// digest names a comparison. Its key never leaves the process, so nobody can
// tell a password from it.
func (p *passwords) digest(name, password string, hash []byte) (d passwordDigest) {
	h := sha256.New()
	h.Write(p.key[:])
	var length [8]byte
	for _, part := range [][]byte{[]byte(name), []byte(password), hash} {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write(part)
	}
	h.Sum(d[:0])
	return d
}

func (p *passwords) recall(d passwordDigest) (right, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.right.has(d) {
		return true, true
	}
	return false, p.wrong.has(d)
}

func (p *passwords) remember(d passwordDigest, right bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if right {
		p.right.add(d)
	} else {
		p.wrong.add(d)
	}
}

// memory holds rememberedPasswords; the oldest goes.
type memory struct {
	in   map[passwordDigest]struct{}
	ring []passwordDigest
	next int
}

func newMemory() memory { return memory{in: map[passwordDigest]struct{}{}} }

func (m *memory) has(d passwordDigest) bool {
	_, ok := m.in[d]
	return ok
}

// add takes one that is not there.
func (m *memory) add(d passwordDigest) {
	m.in[d] = struct{}{}
	if len(m.ring) < rememberedPasswords {
		m.ring = append(m.ring, d)
		return
	}
	delete(m.in, m.ring[m.next])
	m.ring[m.next] = d
	m.next = (m.next + 1) % rememberedPasswords
}

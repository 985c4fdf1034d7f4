package access

import (
	"context"
	"encoding/binary"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"
)

func TestPasswords(t *testing.T) {
	p := newPasswords()
	right, other := []byte(hashOf(t, "right")), []byte(hashOf(t, "other"))
	f := func(what, user, password string, hash []byte, want bool) {
		t.Helper()
		if got, err := p.compare(t.Context(), user, password, hash); err != nil || got != want {
			t.Errorf("%s: %v %v, want %v", what, got, err, want)
		}
	}
	f("right", "u", "right", right, true)
	f("wrong", "u", "wrong", right, false)
	f("another hash", "u", "right", other, false)

	p.core <- struct{}{} // from here on nobody may compute
	for range passwordQueue {
		p.queue <- struct{}{}
	}
	f("right, remembered", "u", "right", right, true)
	f("wrong, remembered", "u", "wrong", right, false)
	busy := func(what, user, password string, hash []byte) {
		t.Helper()
		if _, err := p.compare(t.Context(), user, password, hash); !errors.Is(err, errBusy) {
			t.Errorf("%s: %v, want it not to be known", what, err)
		}
	}
	busy("another user", "v", "right", right)
	busy("the parts cut elsewhere", "ur", "ight", right)
	busy("a new hash of the same password", "u", "right", []byte(hashOf(t, "right")))
}

// TestThePasswordQueueIsBounded: whoever waits too long, or comes when it is
// full, is told so at once.
func TestThePasswordQueueIsBounded(t *testing.T) {
	hash := []byte(hashOf(t, "right"))
	synctest.Test(t, func(t *testing.T) {
		p := newPasswords()
		p.core <- struct{}{} // somebody computes, for ever
		ctx, cancel := context.WithTimeout(t.Context(), passwordTimeout)
		defer cancel()
		var waiting sync.WaitGroup
		for range passwordQueue {
			waiting.Go(func() {
				if _, err := p.compare(ctx, "u", "right", hash); !errors.Is(err, errBusy) {
					t.Errorf("after its timeout: %v", err)
				}
			})
		}
		synctest.Wait()
		if _, err := p.compare(ctx, "u", "right", hash); !errors.Is(err, errBusy) || ctx.Err() != nil {
			t.Errorf("a full queue: %v after %v", err, ctx.Err())
		}
		waiting.Wait()
		<-p.core
		if right, err := p.compare(t.Context(), "u", "right", hash); err != nil || !right {
			t.Errorf("when it is free again: %v %v", right, err)
		}
	})
}

// TestBcryptRestsAfterAWrongPassword: guessing costs a part of a core, and who is
// right makes nobody wait.
func TestBcryptRestsAfterAWrongPassword(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), 8)
	if err != nil {
		t.Fatal(err)
	}
	p := newPasswords()
	if _, err := p.compare(t.Context(), "u", "right", hash); err != nil || len(p.core) != 0 {
		t.Errorf("after a right password: %v, %d at work", err, len(p.core))
	}
	start := time.Now()
	if _, err := p.compare(t.Context(), "u", "wrong", hash); err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	p.core <- struct{}{} // waits for the end of the rest
	if free := time.Since(start); free < 2*took {
		t.Errorf("free after %s, though the comparison took %s", free, took)
	}
}

func TestAFullQueueIs503(t *testing.T) {
	g := newGate(t, "basic_auth_users: {ada: '"+hashOf(t, "a")+"'}", "{tokens: [{name: t, role: viewer, token: t}]}")
	f := func(what string, code int, with func(*http.Request)) {
		t.Helper()
		w := ask(g, ScopeRead, "GET", with)
		if w.Code != code || (w.Header().Get("Retry-After") != "") != (code == 503) {
			t.Errorf("%s: %d %v, want %d", what, w.Code, w.Header(), code)
		}
	}
	f("logged in before", 200, basic("ada", "a"))
	for range passwordQueue {
		g.passwords.queue <- struct{}{}
	}
	f("who is known", 200, basic("ada", "a"))
	f("who is not", 503, basic("ada", "b"))
	f("nor who does not exist", 503, basic("eve", "b"))
	f("a token", 200, header("Authorization", "Bearer t"))
}

// TestWrongPasswordsForgetNoRightOne: a flood of guesses costs those who log in
// nothing.
func TestWrongPasswordsForgetNoRightOne(t *testing.T) {
	p := newPasswords()
	of := func(i int) (d passwordDigest) {
		binary.BigEndian.PutUint64(d[:], uint64(i))
		return d
	}
	p.remember(of(-1), true)
	for i := range 3 * rememberedPasswords {
		p.remember(of(i), false)
	}
	f := func(what string, i int, want string) {
		t.Helper()
		right, known := p.recall(of(i))
		if got := map[[2]bool]string{{true, true}: "right", {false, true}: "wrong", {false, false}: "unknown"}[[2]bool{right, known}]; got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	f("the right one", -1, "right")
	f("the newest guess", 3*rememberedPasswords-1, "wrong")
	f("the oldest that is kept", 2*rememberedPasswords, "wrong")
	f("the newest that is not", 2*rememberedPasswords-1, "unknown")
	if len(p.wrong.in) != rememberedPasswords || len(p.wrong.ring) != rememberedPasswords {
		t.Errorf("%d guesses are kept", len(p.wrong.in))
	}
}

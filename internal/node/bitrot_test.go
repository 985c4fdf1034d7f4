package node

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/stream"
	"github.com/winnowhq/winnow/internal/verify"
)

// rot are the figures of TestBitRot.
type rot struct {
	mu                                                                sync.Mutex
	tried, damages, named, refused, unchanged                         int
	forgotten, unnoticed, flips, truncated, clean, recalled, leftOpen int
	verified                                                          int
	kinds                                                             map[string]int
	wanted                                                            int
}

// TestBitRot flips bits in files of stores, and cuts some short, after orderly
// stops and after crashes, and starts nodes on them. Damage that changes what a
// start reads must be named, and no open critical or error be forgotten. What
// changed nothing is counted apart.
func TestBitRot(t *testing.T) {
	f := &rot{kinds: map[string]int{}, wanted: number(t, "WINNOW_BITROT", 10)}
	from, single := 0, false
	if seed := number(t, "WINNOW_BITROT_SEED", -1); seed >= 0 {
		from, f.wanted, single = seed, 1, true
	}
	const workers, perStory = 2, 40
	began := time.Now()
	t.Run("damages", func(t *testing.T) {
		for w := range workers {
			t.Run(fmt.Sprint(w), func(t *testing.T) {
				t.Parallel()
				var moments []moment
				story := -1
				for seed := from + w; !f.enough() && (!single || seed == from); seed += workers {
					if seed/perStory != story {
						story = seed / perStory
						moments = tell(t, uint64(1000+story), 24)
					}
					f.try(t, uint64(seed), moments)
				}
			})
		}
	})
	if !single {
		f.vacuity(t)
	}
	fmt.Printf("bitrot: damages=%d detected=%d named=%d refused=%d unchanged=%d flips=%d truncations=%d after_clean_stop=%d recalled_alerts=%d left_open=%d forgotten=%d unnoticed=%d verified=%d files=%v seconds=%.0f\n",
		f.damages, f.named+f.refused, f.named, f.refused, f.unchanged, f.flips, f.truncated, f.clean, f.recalled, f.leftOpen, f.forgotten, f.unnoticed, f.verified, f.kinds, time.Since(began).Seconds())
}

func (f *rot) enough() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.damages >= f.wanted || f.tried >= 20*f.wanted || f.unnoticed+f.forgotten > 5
}

func (f *rot) vacuity(t *testing.T) {
	t.Helper()
	if f.damages < f.wanted {
		t.Errorf("only %d of %d damages that change what is read in %d tries", f.damages, f.wanted, f.tried)
	}
	if f.wanted < 100 {
		return // too few for each kind to have had its turn
	}
	for what, got := range map[string]int{"flips": f.flips, "truncations": f.truncated, "after an orderly stop": f.clean, "after a crash": f.damages - f.clean, "recalled alerts": f.recalled} {
		if got < f.wanted/20 {
			t.Errorf("only %d %s in %d damages: too few to prove anything", got, what, f.damages)
		}
	}
	for _, kind := range []string{"log", "outbox", "description", "snapshot", "witness"} {
		if f.kinds[kind] == 0 {
			t.Errorf("no %s was damaged so that it changed anything", kind)
		}
	}
}

// observed is what came of a start.
type observed struct {
	refused error
	faults  uint64
	raised  string
	recall  uint64
	read    string   // what the start read, as a number
	story   string   // what people saw of it
	missing []string // alerts of paging class that fire and that nobody hears of
	open    int      // incidents: their alerts, or the ends of those, are lost
}

// try damages one file of one moment and compares what comes of it with what
// comes of the store as it was.
func (f *rot) try(t *testing.T, seed uint64, moments []moment) {
	rng := rand.New(rand.NewPCG(seed, 23))
	m := &moments[len(moments)/3+rng.IntN(len(moments)-len(moments)/3)]
	if rng.IntN(3) == 0 {
		m = &moments[len(moments)-1] // closed
	}
	bent, name, truncated := damage(rng, m.image)
	was, is := observe(t, m, m.image), observe(t, m, bent)
	whole, found := verified(t, m.image), verified(t, bent)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tried++
	if len(whole) > 0 {
		t.Errorf("seed %d: of a store that nothing was done to verify says: %v", seed, whole)
	}
	if f.verified++; len(found) == 0 {
		t.Errorf("seed %d: verify finds nothing, and %s is damaged", seed, name)
	}
	if was.refused != nil || was.faults > 0 || len(was.missing) > 0 {
		t.Errorf("seed %d: a store that nothing was done to: %+v", seed, was)
	}
	again := fmt.Sprintf("%s after moment at %s; again: WINNOW_BITROT_SEED=%d go test ./internal/node -run '^TestBitRot$'", name, m.at.Format("15:04:05"), seed)
	f.leftOpen += is.open
	if len(is.missing) > 0 {
		f.forgotten++
		t.Errorf("forgotten: %v: %s", is.missing, again)
	}
	changed := is.read != was.read || is.story != was.story
	switch {
	case is.refused != nil && (strings.Contains(is.refused.Error(), "stream") || strings.Contains(is.refused.Error(), "outbox") || strings.Contains(is.refused.Error(), "log")):
		f.refused++
	case is.faults > 0 && is.raised != "":
		f.named++
	case changed || is.refused != nil:
		f.unnoticed++
		t.Errorf("not noticed: %s\nrefused %v\nwas %s\n%s\nis %s\n%s", again, is.refused, was.read, was.story, is.read, is.story)
	default:
		f.unchanged++
		return
	}
	f.damages++
	f.kinds[kindOf(name)]++
	f.recalled += int(is.recall)
	if truncated {
		f.truncated++
	} else {
		f.flips++
	}
	if m.clean {
		f.clean++
	}
}

func kindOf(name string) string {
	switch base := path.Base(name); {
	case strings.HasSuffix(name, ".blk") && strings.Contains(name, "OUTBOX"):
		return "outbox"
	case strings.HasSuffix(name, ".blk"):
		return "log"
	case strings.HasPrefix(base, "meta."):
		return "description"
	case base == "index.db":
		return "index"
	default:
		return strings.TrimPrefix(path.Ext(base), ".")
	}
}

// damage bends one file. Each kind of file has the same chance.
func damage(rng *rand.Rand, im image) (bent image, name string, truncated bool) {
	kinds := map[string][]string{}
	for _, name := range im.names() {
		if len(im[name]) > 0 && name != "lock" && name != "provisioned" && !strings.Contains(name, "/obs/") {
			kinds[kindOf(name)] = append(kinds[kindOf(name)], name)
		}
	}
	var order []string
	for _, kind := range []string{"log", "log", "log", "outbox", "outbox", "description", "index", "snapshot", "witness"} {
		if len(kinds[kind]) > 0 {
			order = append(order, kind)
		}
	}
	names := kinds[order[rng.IntN(len(order))]]
	if name = names[rng.IntN(len(names))]; rng.IntN(2) == 0 {
		name = names[len(names)-1] // the newest
	}
	bent = image{}
	maps.Copy(bent, im)
	b := bytes.Clone(im[name])
	if truncated = rng.IntN(4) == 0; truncated {
		b = b[:rng.IntN(len(b))]
	} else {
		b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
	}
	bent[name] = b
	return bent, name, truncated
}

// verified is what verify says of a store.
func verified(t *testing.T, im image) (found []string) {
	dir := t.TempDir()
	im.write(t, dir)
	if _, err := verify.Run(verify.Folder(dir), func(f verify.Finding) { found = append(found, f.String()) }); err != nil {
		found = append(found, err.Error())
	}
	return found
}

// observe starts a node on an image, lets nobody send anything for a while, and
// then ends all alerts.
func observe(t *testing.T, m *moment, im image) (o observed) {
	synctest.Test(t, func(t *testing.T) {
		s := m.revive(t, im)
		defer func() { s.network.Close() }()
		n, err := Start(t.Context(), s.options())
		if err != nil {
			o.refused = err
			return
		}
		s.node = n
		<-n.Ready()
		synctest.Wait() // until this life's first record stands
		o.read = s.readAtStart(m)
		time.Sleep(75 * time.Second)
		o.missing = s.unheard(m.live)
		o.missing = append(o.missing, s.unknown(m.live)...)
		o.recall = n.Engine().Stats().Recalled.Load()
		s.endAll(m.live)
		for _, a := range m.live { // its end must have been understood
			if a.severity != "warning" && !slices.Contains(s.unknown([]sample{a}), "core:"+a.name+"/"+a.pod) {
				o.missing = append(o.missing, "end:"+a.name+"/"+a.pod)
			}
		}
		o.open = len(s.pager.Open())
		r := s.books()
		var b strings.Builder
		fmt.Fprintf(&b, "deliveries=%d onsets=%d balanced=%v", r.Deliveries, r.Onsets, r.Balanced)
		b.WriteString(s.history())
		o.story = b.String()
		o.faults = n.Engine().Stats().Faults.Load()
		for _, c := range n.alarm.Raised() {
			o.raised += c.String() + " "
		}
		s.stop()
	})
	return o
}

// unknown lists the alerts of paging class that the core does not know to fire.
func (s *site) unknown(live []sample) (names []string) {
	s.t.Helper()
	err := s.node.Engine().Query(s.t.Context(), func(sh *engine.Shard) {
		for _, a := range live {
			if a.severity == "warning" {
				continue
			}
			if !firing(sh, a) {
				names = append(names, "core:"+a.name+"/"+a.pod)
			}
		}
	})
	if err != nil {
		s.t.Errorf("ask the core: %v", err)
	}
	return names
}

// readAtStart is a number for what a start reads of log and outbox: the messages
// behind the newest snapshot, and the last record.
func (s *site) readAtStart(m *moment) string {
	s.t.Helper()
	var snapshot uint64
	for _, name := range m.image.names() {
		if strings.HasSuffix(name, ".snapshot") {
			_, _ = fmt.Sscanf(path.Base(name), "%d", &snapshot)
		}
	}
	h := fnv.New64a()
	count := 0
	r, err := s.node.stream.ReadLog(s.t.Context(), snapshot+1)
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Close()
	for {
		msg, err := r.Next()
		if err != nil {
			s.t.Fatal(err)
		}
		if msg.At.Std().After(m.at.Add(time.Second)) { // of this life
			break
		}
		h.Write(msg.Data)
		count++
	}
	_, _, newest, err := s.node.stream.LastCommit(s.t.Context()) // its error is found below
	if newest == 0 {
		return fmt.Sprintf("%d messages, %x, outbox: %v", count, h.Sum64(), err)
	}
	out, err := s.node.stream.ReadOutbox(s.t.Context(), 1)
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	var last stream.Message
	for last.Seq < newest {
		msg, err := out.Next()
		if err != nil {
			s.t.Fatal(err)
		}
		if msg.At.Std().After(m.at.Add(time.Second)) {
			break
		}
		last = msg
	}
	if _, c, err := frame.DecodeCommit(last.Data); err == nil && c != nil {
		fmt.Fprint(h, last.Seq, c.Input)
	}
	return fmt.Sprintf("%d messages, %x", count, h.Sum64())
}

func firing(sh *engine.Shard, a sample) (fires bool) {
	ls := alert.Labels{{Name: "alertname", Value: a.name}, {Name: "cluster", Value: "eu"}, {Name: "pod", Value: a.pod}, {Name: "severity", Value: a.severity}}
	sh.Core.EachAlert(ls.Fingerprint(), sh.Now(), func(_ string, _ time.Duration, known *alert.Alert) {
		fires = fires || known.Status == alert.Firing
	})
	return fires
}

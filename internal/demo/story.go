package demo

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/winnowhq/winnow/alert"
)

// The night that is told lasts nightLength and takes fullLength. A shorter demo
// tells it faster, a longer one lets its noise go on for longer.
const (
	nightLength = 3 * time.Hour
	fullLength  = 30 * time.Second

	// MinDuration leaves each scene the time to be seen.
	MinDuration = 10 * time.Second
)

// Story is what happens, in times from its start. It is fixed by the seed and
// the duration: nothing in it depends on how it is received.
type Story struct {
	Seed     uint64
	Duration time.Duration
	Scenes   []Scene
	Posts    []Post
	Alerts   []*Alert // each once, in the order of their first episode

	// Quiet is the one alert that matters most and makes no noise.
	Quiet *Alert
}

// Scene is a sentence for those who watch.
type Scene struct {
	At   time.Duration
	Text string
}

// Post is one request of one sender.
type Post struct {
	At         time.Duration
	Sender     *Sender
	Deliveries []Delivery
}

// Delivery is what a request says of one alert.
type Delivery struct {
	Alert    *Alert
	StartsAt time.Duration
	EndsAt   time.Duration // of a resolved alert; of a firing one, how long the sender vouches for it
	Resolved bool
}

// episode is one firing of an alert; it fires to the end of the story unless
// to comes before.
type episode struct {
	alert    *Alert
	from, to time.Duration
	edge     bool // sent through the Alertmanager outside of the cluster
}

// NewStory writes the story of a seed.
func NewStory(seed uint64, d time.Duration) *Story {
	w := &writer{
		story:  &Story{Seed: seed, Duration: d},
		rng:    newRand(seed),
		known:  map[alert.Fingerprint]*Alert{},
		length: d,
	}
	w.shop = newShop(w.rng)
	w.scenes()
	slices.SortStableFunc(w.story.Scenes, func(a, b Scene) int { return cmp.Compare(a.At, b.At) })
	slices.SortStableFunc(w.episodes, func(a, b episode) int { return cmp.Compare(a.from, b.from) })
	merged := w.merge()
	w.story.Posts = posts(merged, d)
	return w.story
}

// merge puts episodes of one alert that overlap together: two scenes may have
// the same thing happen. It also lists the alerts.
func (w *writer) merge() []episode {
	var out []episode
	last := map[*Alert]int{}
	for _, e := range w.episodes { // in the order of their beginning
		i, ok := last[e.alert]
		if ok && e.from <= out[i].to {
			out[i].to = max(out[i].to, e.to)
			continue
		}
		if !ok {
			w.story.Alerts = append(w.story.Alerts, e.alert)
		}
		last[e.alert] = len(out)
		out = append(out, e)
	}
	return out
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x77696e6e6f77)) }

// writer collects what a story is made of.
type writer struct {
	story    *Story
	rng      *rand.Rand
	shop     *shop
	length   time.Duration
	episodes []episode
	known    map[alert.Fingerprint]*Alert
}

// at is a moment of the story, as a share of its length.
func (w *writer) at(share float64) time.Duration { return time.Duration(share * float64(w.length)) }

// wait is how long a time of the night takes in the demo.
func (w *writer) wait(d time.Duration) time.Duration {
	return time.Duration(float64(d) * float64(min(w.length, fullLength)) / float64(nightLength))
}

// within is a random time of the night below d, as the demo takes it.
func (w *writer) within(d time.Duration) time.Duration {
	return time.Duration(w.rng.Int64N(int64(w.wait(d)) + 1))
}

func (w *writer) scene(at time.Duration, text string) {
	w.story.Scenes = append(w.story.Scenes, Scene{at, text})
}

// fires has an alert fire from the end of its rule's delay after a fault until
// the fault is mended.
func (w *writer) fires(fault, mended time.Duration, rule string, labels ...string) *Alert {
	return w.add(false, fault, mended, rule, labels)
}

// firesOutside is fires for what is watched from outside of the cluster.
func (w *writer) firesOutside(fault, mended time.Duration, rule string, labels ...string) *Alert {
	return w.add(true, fault, mended, rule, labels)
}

func (w *writer) add(edge bool, fault, mended time.Duration, rule string, labels []string) *Alert {
	r := ruleOf(rule)
	a := r.alert(labels...)
	if old := w.known[a.Fingerprint]; old != nil {
		a = old
	}
	w.known[a.Fingerprint] = a
	if from := fault + w.wait(r.For); from < mended { // else it is over before it fires
		w.episodes = append(w.episodes, episode{a, from, mended, edge})
	}
	return a
}

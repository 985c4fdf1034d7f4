package node

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/sinks/sinktest"
)

// image is what a store held at one moment: each file by its path.
type image map[string][]byte

func takeImage(t *testing.T, dir string) image {
	t.Helper()
	im := image{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		im[filepath.ToSlash(name)] = b
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return im
}

func (im image) write(t *testing.T, dir string) {
	t.Helper()
	for name, b := range im {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (im image) names() []string { return slices.Sorted(maps.Keys(im)) }

// moment is a store with what the world knew then.
type moment struct {
	at    time.Time
	image image
	pager *sinktest.PagerDuty
	sent  uint64
	live  []sample
	clean bool // the node had stopped in order
}

// chronicle is a story that is photographed as it goes: at each acknowledgement,
// and before the next.
type chronicle struct {
	*site
	rng     *rand.Rand
	live    []sample
	moments []moment
}

func (c *chronicle) shoot(clean bool) {
	synctest.Wait()
	c.moments = append(c.moments, moment{
		at: time.Now(), image: takeImage(c.t, c.dir), pager: c.pager.Clone(), sent: c.sent, live: slices.Clone(c.live), clean: clean,
	})
}

// tell plays a story of so many posts; every sixth time the node stops in order
// and starts again, so that there are snapshots and stores that were closed. In
// a part of it the provider takes nothing.
func tell(t *testing.T, seed uint64, posts int) (moments []moment) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &chronicle{site: &site{t: t, dir: t.TempDir(), kept: true, text: brief, pager: sinktest.NewPagerDuty()}, rng: rand.New(rand.NewPCG(seed, 21))}
		c.network = sinktest.NewNetwork(c.pager)
		defer func() { c.network.Close() }()
		c.start()
		for i := range posts {
			c.say(i)
			c.shoot(false)
			time.Sleep(time.Duration(1+c.rng.IntN(25)) * time.Second)
			c.shoot(false)
			if i%6 == 5 {
				c.stop()
				c.shoot(true)
				time.Sleep(time.Duration(1+c.rng.IntN(30)) * time.Second)
				c.start()
				c.shoot(false)
			}
		}
		c.stop()
		c.shoot(true)
		moments = c.moments
	})
	return moments
}

// say posts one thing: an alert that begins, one that is known, or an end.
func (c *chronicle) say(i int) {
	severities := []string{"critical", "error", "warning"}
	k := c.rng.IntN(7)
	a := sample{name: fmt.Sprint("Group", k), pod: fmt.Sprint(c.rng.IntN(3)), severity: severities[k%3], text: strings.Repeat(fmt.Sprint(c.rng.Uint64()), 4)}
	at := slices.IndexFunc(c.live, func(b sample) bool { return a.name == b.name && a.pod == b.pod })
	if at < 0 {
		c.live = append(c.live, a)
	} else if i%3 == 0 {
		c.live = slices.Delete(c.live, at, at+1)
		a.resolved = true
	}
	c.post(a)
}

// revive starts a node on an image, some time after it was taken.
func (m *moment) revive(t *testing.T, im image) *site {
	t.Helper()
	time.Sleep(time.Until(m.at) + 3*time.Second)
	s := &site{t: t, dir: t.TempDir(), kept: true, text: brief, pager: m.pager.Clone(), sent: m.sent}
	im.write(t, s.dir)
	s.network = sinktest.NewNetwork(s.pager)
	return s
}

// endAll resolves what fires and waits until everybody has heard.
func (s *site) endAll(live []sample) {
	s.t.Helper()
	var ends []sample
	for _, a := range live {
		a.resolved = true
		ends = append(ends, a)
	}
	if len(ends) > 0 {
		s.post(ends...)
	}
	for range 8 {
		if time.Sleep(30 * time.Second); len(s.pager.Open()) == 0 {
			return
		}
	}
}

// unheard lists the alerts of severity error and critical that fire and have
// no open incident at the pager.
func (s *site) unheard(live []sample) (names []string) {
	open := s.pager.Open()
	for _, a := range live {
		if a.severity != "warning" && !slices.ContainsFunc(open, func(i sinktest.Incident) bool { return strings.Contains(i.Summary+" ", a.name+" ") }) {
			names = append(names, a.name+"/"+a.pod)
		}
	}
	return names
}

// history is what the pager has heard, in short.
func (s *site) history() string {
	var lines []string
	for _, e := range s.pager.Events() {
		lines = append(lines, fmt.Sprintf("\n%s %s %q %v", e.At.Format("15:04:05"), e.Action, e.Summary, e.Details["incident"]))
	}
	slices.Sort(lines) // groups have no order among themselves, within a second
	return strings.Join(lines, "")
}

// otherKeys counts the groups that have been paged under more than one key.
func (s *site) otherKeys() int {
	keys := map[string]map[string]bool{}
	for _, e := range s.pager.Events() {
		for k := range 7 {
			if name := fmt.Sprint("Group", k); e.Action == "trigger" && strings.Contains(e.Summary+" ", name+" ") {
				if keys[name] == nil {
					keys[name] = map[string]bool{}
				}
				keys[name][e.Key] = true
			}
		}
	}
	n := 0
	for _, ks := range keys {
		if len(ks) > 1 {
			n++
		}
	}
	return n
}

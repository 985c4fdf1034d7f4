package ledger

import (
	"math/rand/v2"
	"testing"

	"github.com/winnowhq/winnow/alert"
)

// TestOpenEpisodesAgainstMap compares with a map under random changes, with
// fingerprints so alike that runs are long.
func TestOpenEpisodesAgainstMap(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 3))
		var o openEpisodes
		model := map[alert.Fingerprint]episode{}
		for i := range 5000 {
			fp := alert.Fingerprint(rng.IntN(60))<<32 | alert.Fingerprint(rng.IntN(40))
			switch rng.IntN(3) {
			case 0:
				o.remove(fp)
				delete(model, fp)
			default:
				e := episode{since: alert.Time(i)}
				o.put(fp, e)
				model[fp] = e
			}
			got, ok := o.get(fp)
			if want, there := model[fp]; got != want || ok != there || o.len() != len(model) {
				t.Fatalf("seed %d step %d: %+v %v, want %+v %v; %d of %d", seed, i, got, ok, want, there, o.len(), len(model))
			}
		}
		for i := range o.len() {
			if k := o.at(i); model[k.fp] != k.e {
				t.Fatalf("seed %d: %x is %+v, want %+v", seed, k.fp, k.e, model[k.fp])
			}
		}
	}
}

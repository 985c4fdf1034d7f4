package demo

import (
	"testing"
	"time"

	"github.com/winnowhq/winnow/internal/config"
)

func TestTmp(t *testing.T) {
	_, err := config.Parse("x", []byte(ConfigText("http://127.0.0.1:1/v2/enqueue", "catalog-info.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []time.Duration{10, 20, 30, 120} {
		s := NewStory(1, d*time.Second)
		n := 0
		for _, p := range s.Posts {
			n += len(p.Deliveries)
		}
		t.Log(d, len(s.Alerts), len(s.Posts), n)
	}
}

package main

import (
	"strings"
	"testing"
)

const top = `File: winnow-profiled
Type: cpu
Showing nodes accounting for 10s, 100% of 10s total
      flat  flat%   sum%        cum   cum%
     4.00s 40.00% 40.00%      4.00s 40.00%  internal/runtime/syscall/linux.Syscall6
     3.00s 30.00% 70.00%      5.00s 50.00%  github.com/winnowhq/winnow/ingest.(*reader).value (inline)
     1.50s 15.00% 85.00%      1.50s 15.00%  runtime.gcDrain
     1.00s 10.00% 95.00%      1.00s 10.00%  github.com/winnowhq/winnow/alert.Labels.Fingerprint
         0     0% 95.00%      9.00s 90.00%  net/http.(*conn).serve
     0.50s  5.00%   100%      0.50s  5.00%  example.com/unheard.Of
`

func TestChart(t *testing.T) {
	ss, err := shares(strings.NewReader(top))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	svg := string(chart("where <time> goes", ss))
	for _, s := range ss {
		got = append(got, s.name)
		if !strings.Contains(svg, ">"+s.name+"</text>") {
			t.Errorf("%q is not in the chart", s.name)
		}
	}
	if want := "ingest: decoding, kernel: files, network, waiting, garbage collection, everything else"; strings.Join(got, ", ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), want)
	}
	if !strings.Contains(svg, "where &lt;time&gt; goes") || !strings.Contains(svg, "40.0 %") {
		t.Errorf("got\n%s", svg)
	}
	if svg != string(chart("where <time> goes", ss)) {
		t.Error("the same shares make two charts")
	}
}

func TestCutProfile(t *testing.T) {
	if _, err := shares(strings.NewReader(strings.Replace(top, "40.00% 40.00% ", " 4.00%  4.00% ", 1))); err == nil {
		t.Error("a profile without two fifths of its time was drawn")
	}
}

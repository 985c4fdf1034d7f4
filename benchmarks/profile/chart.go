package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"html"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A layer is functions that are for one thing.
type layer struct {
	name    string
	pattern *regexp.Regexp
}

// layers are tried in order. The first that matches has a function.
var layers = []layer{
	{"kernel: files, network, waiting", regexp.MustCompile(`^(internal/runtime/syscall\b|syscall\.|internal/syscall/|runtime\.(futex|epoll|write1|usleep|nanotime|vdso|madvise|sigreturn|tgkill|osyield))`)},
	{"garbage collection", regexp.MustCompile(`^(runtime\.(gc|\(\*gc|scan|mark|greyobject|sweep|\(\*sweep|wb|bgsweep|bgscavenge|findObject|spanOf|typePointers|\(\*mspan\)\.(typePointers|heapBits|sweep)|tryDefer|\(\*scav|\(\*pageAlloc|bulkBarrier|deductAssist)|internal/runtime/gc)`)},
	{"copying and comparing memory", regexp.MustCompile(`^(runtime\.(mem|cmp)|(mem|cmp|index|count)\w*body$|internal/bytealg\.|bytes\.|strings\.)`)},
	{"Go runtime: goroutines, memory, maps", regexp.MustCompile(`^(runtime\.|runtime/|internal/runtime/|sync\.|sync/|internal/sync\.|context\.|aeshash|gogo|mcall|maps\.|slices\.|gosave|time\.)`)},
	{"HTTP", regexp.MustCompile(`^(net\.|net/|bufio\.|internal/poll\.|io\.|mime|crypto/)`)},
	{"JetStream", regexp.MustCompile(`^(github\.com/nats-io/|github\.com/minio/highwayhash|github\.com/klauspost/compress|github\.com/antithesishq|encoding/json|os\.)`)},
	{"hashes", regexp.MustCompile(`^(github\.com/cespare/xxhash|hash/)`)},
	{"ingest: decoding", regexp.MustCompile(`^github\.com/winnowhq/winnow/(ingest|internal/wire|alert)\b`)},
	{"frame: the log's encoding", regexp.MustCompile(`^github\.com/winnowhq/winnow/internal/(frame|stream)\b`)},
	{"dedupe, correlate, ledger, engine", regexp.MustCompile(`^github\.com/winnowhq/winnow/(dedupe|correlate|ledger|internal/engine|internal/guard)\b`)},
}

const others = "everything else"

// share is what a layer has of all CPU time, in percent.
type share struct {
	name    string
	percent float64
}

// topLine is a line of go tool pprof -top: flat, flat%, sum%, cum, cum%, name.
var topLine = regexp.MustCompile(`^\s*\S+\s+([0-9.]+)%\s+[0-9.]+%\s+\S+\s+[0-9.]+%\s+(\S.*)$`)

// shares adds up the lines of a profile by layer, largest first.
func shares(top io.Reader) ([]share, error) {
	sums := make([]float64, len(layers)+1)
	all := 0.0
	lines := bufio.NewScanner(top)
	for lines.Scan() {
		m := topLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		percent, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(m[2], " (inline)")
		i := slices.IndexFunc(layers, func(l layer) bool { return l.pattern.MatchString(name) })
		if i < 0 {
			i = len(layers)
		}
		sums[i] += percent
		all += percent
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if all < 90 { // with its long tail cut off, a profile shows something else
		return nil, errors.New("profile: the lines make less than 90 % of the CPU time: take go tool pprof -top -nodefraction=0 -nodecount=100000")
	}
	var out []share
	for i, sum := range sums {
		name := others
		if i < len(layers) {
			name = layers[i].name
		}
		if sum > 0 {
			out = append(out, share{name, sum})
		}
	}
	slices.SortStableFunc(out, func(a, b share) int {
		switch {
		case a.percent > b.percent:
			return -1
		case a.percent < b.percent:
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	return out, nil
}

// Sizes of a chart, in pixels.
const (
	chartWidth = 720
	barsFrom   = 260
	perPercent = 8
	rowHeight  = 22
	headHeight = 34
)

// chart draws shares as bars. The same shares make the same bytes.
func chart(title string, ss []share) []byte {
	var b bytes.Buffer
	height := headHeight + rowHeight*len(ss) + 8
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", chartWidth, height, chartWidth, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", chartWidth, height)
	fmt.Fprintf(&b, `<text x="8" y="22" font-weight="bold" fill="#1f2328">%s</text>`+"\n", html.EscapeString(title))
	for i, s := range ss {
		y := headHeight + i*rowHeight
		width := min(s.percent*perPercent, chartWidth-barsFrom-60)
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end" fill="#1f2328">%s</text>`, barsFrom-8, y+15, html.EscapeString(s.name))
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="#2f6f9f"/>`, barsFrom, y+3, width, rowHeight-6)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" fill="#1f2328">%.1f %%</text>`+"\n", barsFrom+width+6, y+15, s.percent)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

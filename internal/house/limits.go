package house

import (
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"strings"
)

const limitsPage = "docs/limits.md"

// limitedPackages are those whose limits stand in limitsPage.
const limitedPackages = "ingest dedupe correlate enrich ledger sinks internal/access internal/canary internal/engine internal/frame internal/guard internal/guard/kept internal/guard/pager internal/heartbeat internal/ladder internal/node internal/preview internal/selfalert internal/stream internal/web"

// noTables are limits of texts, times and guesses: nothing waits or is kept in
// what they bound.
const noTables = `ingest.maxStandardKeyBytes ingest.maxTimeBytes ingest.maxKeptPairs ingest.maxReplaced ingest.maxChunkBytes
	ingest.maxPointerKeyBytes ingest.maxMisshapen correlate.maxValidity correlate.maxLatest
	ledger.maxName ledger.maxReceiptLead ledger.maxWidth ledger.maxDelayMillis ledger.maxDelayBits ledger.maxSpan
	enrich.MaxURLBytes enrich.MaxTimeout enrich.maxCatalogErrors frame.maxKeptRaw
	sinks.maxBackoff sinks.maxHold sinks.maxTextAlerts sinks.maxTextNotes sinks.maxTextValueBytes sinks.maxRetryAfter
	sinks.maxSecretFileBytes sinks.maxErrorBytes access.maxRest access.maxBcryptCost
	stream.maxRestartDelay stream.maxPatience stream.maxOvertaken stream.maxGap selfalert.maxDetail selfalert.maxSecret
	heartbeat.maxInterval heartbeat.maxSecret`

var (
	limitName = regexp.MustCompile(`^(Max|max)[A-Z]`)
	limitSpan = regexp.MustCompile("`([a-z]+\\.(?:Max|max)[A-Z]\\w*)`")
)

// Limits wants each constant that is named as a limit to stand on limitsPage, or
// among those that limit no table, and what stands there to exist.
func Limits(t *Tree) []Finding { return limits(t, noTables) }

func limits(t *Tree, known string) (out []Finding) {
	declared := map[string]bool{}
	for _, x := range t.Texts {
		if x.Path == limitsPage {
			for _, m := range limitSpan.FindAllStringSubmatch(x.Body, -1) {
				known += " " + m[1]
			}
		}
	}
	for _, f := range t.Go {
		if f.Test || !contains(limitedPackages, f.Dir) {
			continue
		}
		eachConstant(f, func(n *ast.Ident) {
			name := path.Base(f.Dir) + "." + n.Name
			if declared[name] = true; limitName.MatchString(n.Name) && !contains(known, name) {
				out = append(out, Finding{f.at(n), "declares the limit " + name, "each queue and table says what happens when it is full",
					"give it a row in " + limitsPage + ", with the test that reaches it"})
			}
		})
	}
	for name := range strings.FieldsSeq(known) {
		if !declared[name] {
			out = append(out, Finding{limitsPage, "names " + name + ", which is no constant", truthWhy, "name what is there"})
		}
	}
	return out
}

func eachConstant(f *File, each func(*ast.Ident)) {
	for _, d := range f.AST.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.CONST {
			for _, s := range g.Specs {
				for _, n := range s.(*ast.ValueSpec).Names {
					each(n)
				}
			}
		}
	}
}

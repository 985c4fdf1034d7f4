package dedupe

// A Verdict says what a delivery changed.
type Verdict uint8

const (
	First    Verdict = iota + 1 // no alert with these labels was known
	Repeat                      // already firing (or already resolved): nobody needs to hear it again
	Changed                     // still firing, but its annotations moved
	Reopened                    // fired again after it was resolved
	Resolved                    // stopped firing
	Stray                       // resolved, but never seen firing
)

var verdictNames = [...]string{"", "First", "Repeat", "Changed", "Reopened", "Resolved", "Stray"}

func (v Verdict) String() string { return verdictNames[min(int(v), len(verdictNames)-1)] }

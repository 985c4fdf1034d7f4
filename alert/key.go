package alert

// PageKey is what a provider deduplicates pages on: the key of a group, with
// the severity that is paged appended where it is above Warning.
//
// A page at a higher severity is thus one of its own, or a provider would fold
// it into an incident that somebody has acknowledged already. And whoever pages
// for a group, the core or the guard in its place, does so under the same key,
// so that nobody is called twice.
func PageKey(group string, s Severity) string {
	if s.Rank() <= Warning {
		return group
	}
	return group + "#" + s.String()
}

// Package e2e tests Winnow as it is run: the built binary, a real Alertmanager
// and its amtool, real ports on loopback, SIGTERM, SIGKILL and SIGHUP.
//
// It decides nothing by Winnow's own word alone: what a fake PagerDuty has
// received and what went over the wire is counted apart, and Winnow's report
// must agree with that count. It never reaches into a process.
//
// The tests stand behind the build tag e2e; `make e2e` runs them. The first run
// builds Alertmanager from its module into the user's cache folder. Five suites
// have a tag of their own beside it: k9, cluster, scorecard, limits and reload.
package e2e

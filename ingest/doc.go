// Package ingest decides what a sender said: it authenticates a request, reads
// its body, and turns the bytes into alerts and into a record of whatever could
// not be read.
//
// It never decides whether an alert is news or worth a page, never keeps an
// alert after it has answered, and never says 2xx before the Log has made the
// alerts durable. It loses no bytes on purpose: what it cannot read it puts in
// quarantine, and what is too long it cuts, marks and passes on.
//
// A source is one file: a Source value and its Decode function. The HTTP shell,
// the limits, the batches and the metrics are the same for all of them.
package ingest

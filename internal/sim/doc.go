// Package sim cuts Winnow's core line short at every place where a crash can
// leave something behind, and looks at what people have heard in the end.
//
// A story is told once without a crash, and each durable effect on the way is
// noted: what the log, the outbox, a provider or the disk has taken. Then the
// world is cut at each of these places, started again on what a crash leaves,
// and the story goes on to its end. The engine's owner and shard are the real
// ones, fed with real bytes; log, outbox, disk, sinks, providers and senders are
// models in memory, single-threaded and drawn from a seed. An oracle that knows
// only what senders said and what providers took judges the end.
//
// It never looks into the core to find out what is right, and it does not test
// JetStream, the disk or the real sinks: their own tests do. `make sim` runs it.
package sim

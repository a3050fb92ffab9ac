// Package coordinator is the one owner of the truth: which sweeps there are, which
// trial runs where, and what came out.
//
// Its heart is a loop of one goroutine. It takes the events that wait, feeds them to the
// pure state machine of package dispatch, and then, in this order,
//
//  1. commits all records that changed, in one transaction (one fsync for the batch),
//  2. updates the fence, by which reports of superseded attempts are refused,
//  3. lets the effects out to the workers and the answers to the callers,
//  4. wakes those who watch.
//
// Persist, then speak: what anybody was told survives a crash. A crash may lose events
// that nobody was answered for; workers repeat theirs, and so do clients. When a commit
// fails, the state in memory is thrown away and loaded again, and every worker is
// disconnected, so that it presents its whole state anew.
//
// Metric points and output do not pass through the loop. They go to their stores in
// group commits of their own, after the fence was asked, and are acknowledged once
// durable.
//
// Queries read the stores, never the loop's memory: what they show has been committed.
//
// Package coordinator knows neither gRPC nor bbolt; ports.go says what it needs, and
// coordinator/api and coordinator/boltstore provide it.
package coordinator

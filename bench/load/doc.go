// Package load puts load on a coordinator, over the wire that workers and users speak, and
// tells how it bore it. It is what the verbs of `swath bench` measure with.
//
// # Vocabulary
//
//   - A simulated worker ([Worker]) holds a session and runs nothing: an attempt ends a
//     given time after it began, at once if that is zero.
//   - A refill is the time from a slot that falls free to the next attempt that begins in
//     it; [Refills] gathers them, of simulated workers and of real ones.
//
// # Rules
//
//   - The package knows nothing but the wire: the coordinator under load is another
//     process, so that its processor time and its memory are its own.
//   - What is measured ends when the coordinator has acknowledged it, and a coordinator
//     acknowledges what is durable.
//   - A mistake of the coordinator (a trial that is missing, an acknowledgement that goes
//     back) is an error, not a bad figure.
package load

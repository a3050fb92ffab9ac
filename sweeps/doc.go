// Package sweeps is the domain of swath: what a sweep is, what a trial is, and
// which states they may be in. It is the bottom of the house: it imports nothing
// else of swath, knows no clock, disk or network, and everything it computes is a
// function of its arguments.
//
// # Vocabulary
//
//   - A sweep is a submitted sweep file: a search space, a method, an objective,
//     a trainer and a budget.
//   - A trial is one point of the space, to be trained once. Its identity is its
//     content: [TrialID] is a hash of the trainer and the parameters.
//   - An attempt is one execution of a trial on one worker. Attempts of a trial are
//     numbered from 1 and the number only grows; it fences reports of older ones.
//   - A worker is the agent on a machine; it offers slots, each of which runs one
//     trial at a time.
//   - A metric is a named series; a [Point] is one (step, value, time) of it.
//
// # Rules
//
//   - A trial is computed from (spec, index) and from nothing else, so the list of
//     trials depends neither on the number of workers nor on the order of events,
//     and a space of 10^12 points costs no more to submit than one of ten.
//   - A state changes only along the tables in state.go.
//   - Strings, not ordinals, name states and classes wherever they are stored or
//     sent.
package sweeps

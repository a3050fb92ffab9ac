// Package results is the read side of swath: it turns the records of trials into
// rows, filters, sorts and formats them, and tells which trial was best.
//
// # Vocabulary
//
//   - A [Row] is one trial as a user sees it; a [SeriesRow] is one recorded point.
//   - [Fields] are the names that the rows of a sweep have. Filters, sort keys and
//     columns all resolve names through it, so a name means the same everywhere.
//   - A [Filter] is a compiled expression over a row, an [Order] a list of sort keys,
//     a [Column] one thing to print, a [Query] filter, order and limit together.
//   - A [Writer] prints rows in a [Format].
//   - A [Digest] is what is worth saying about a whole sweep; [Report] prints it.
//
// # Names
//
// A bare name is one of the columns that every row has (trial, index, state, attempts,
// worker, duration_s, error, ...), else a parameter, else a metric, in this order.
// params.x, metrics.y, best.y and best_step.y always reach what the bare name hides,
// and params["a-b"] what is no identifier. A nested parameter is optimizer.lr, whether
// it was recorded as a group or under the dotted name.
//
// # Rules
//
//   - Everything here is a function of its arguments: no clock, no store, no wire.
//   - Rows are never changed by this package and share their maps with the records
//     that they come from.
//   - A value that a row lacks is no error: it makes comparisons false, sorts last
//     and prints as nothing. So does a null parameter. NaN also makes every comparison
//     false and sorts after the numbers, in both directions.
//   - What a user got wrong is an error that wraps [sweeps.ErrInvalid], is one line,
//     and says what would be right.
package results

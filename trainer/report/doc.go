// Package report is the trainer protocol, both halves: what a trainer may rely on,
// what it may write, and how a worker reads it. This comment is the specification.
//
// The package is a leaf: it imports the standard library only, so that a trainer
// written in Go can use it without taking in the rest of swath. A trainer in another
// language needs none of it: the protocol is environment variables and a file.
//
// # Vocabulary
//
//   - A trainer is any program that trains one trial and exits.
//   - An attempt is one execution of it, in a directory of its own.
//   - A report file is what the trainer appends its measurements to, one JSON object
//     a line. It is at once the transport and the spool: the worker follows it and
//     remembers how far the coordinator has acknowledged, so that nothing is lost when
//     worker, coordinator or network die while the trainer goes on.
//   - A point is one (metric, step, value, time).
//
// # What a trainer is given
//
// The command line that the sweep file asks for, standard input at its end, and these
// variables:
//
//	SWATH_PARAMS          path of a JSON file: one object, the trial's parameters
//	SWATH_REPORT          path of the report file, to append to; may not exist yet
//	SWATH_CHECKPOINT_DIR  existing folder for state to resume from; empty, or with the one
//	                      entry from which the attempt goes on
//	SWATH_ARTIFACT_DIR    existing folder for files worth keeping
//	SWATH_DATA            the folder of data sets; unset or empty where there is none
//	SWATH_SWEEP           the sweep's name or id
//	SWATH_TRIAL           the trial's id
//	SWATH_ATTEMPT         the attempt's number, from 1
//	SWATH_SEED            the parameter "seed", where the trial has one
//	SWATH_CPUS            how many cores the trial may use (for thread counts); unset
//	                      where there is no limit
//
// Other variables whose names begin with SWATH_ are not handed down. A program finds
// out that no worker started it by SWATH_REPORT being unset, and had best print its
// metrics then.
//
// # What a trainer may write: the report file
//
// Lines of UTF-8, each one JSON object, ended by a line feed. A line must be appended
// (O_APPEND, mode "a", >>) and had best be written in one call; the file must not be
// rewritten. A line holds one or more of:
//
//		{"step": 3, "time": "2026-03-01T12:00:00.5Z", "metrics": {"loss": 0.31, "acc": 0.9}}
//		{"loss": 0.31, "acc": 0.9, "step": 3}
//		{"progress": 0.4}
//		{"end": {"class": "diverged", "message": "loss is NaN at step 7"}}
//		{"error": "the third shard is unreadable"}
//		{"checkpoint": "step-400.pt", "step": 400}
//
//	  - metrics maps a metric's name to its value: a number, or a string that spells one.
//	    Not-a-number and the infinities are written as Python's json.dumps writes them
//	    (NaN, Infinity, -Infinity) or as strings ("NaN", "inf"). A value that is null is
//	    no measurement. Anything else is skipped with a warning.
//	  - The flat form is a line with none of the keys metrics, end and error: then every
//	    top-level number is a metric, but for the reserved keys step, epoch, time,
//	    timestamp, progress and those that begin with an underscore. What is not a number
//	    is ignored. In a line that has one of the three keys, unknown keys are ignored.
//	  - step is an integer; where there is none, an integral epoch takes its place; where
//	    there is none either, it is the metric's previous step plus one, from 1.
//	  - time (or timestamp) is RFC 3339 or seconds since 1970; without one, a point's
//	    time is when the worker read it.
//	  - progress is the fraction done, 0 to 1.
//	  - end says how the trainer ends, to be written before it exits. Classes: "ok",
//	    "diverged" (the loss became NaN or infinite; not tried again), "oom" (out of
//	    host or device memory), "spec" (the parameters cannot work; not tried again),
//	    "exit" (any other failure). The last one counts.
//	  - error is a message for people that explains a non-zero exit. The last one counts.
//	  - checkpoint names an entry of SWATH_CHECKPOINT_DIR, a file or a folder (or a link to
//	    one that is in there), that is complete: with it another attempt could go on from
//	    there. It must not change any more; the next is written under another name, or
//	    beside and renamed. See below. (A number is a metric of that name.)
//	  - printed, an object like metrics, is the worker's: see Checkpoints.
//
// A line that is none of this is skipped, counted and reported as a warning; so is one
// longer than [MaxLine]. Nothing in the file can make an attempt fail but an end. A last line
// without its line feed waits until it is complete or the process has exited.
//
// # Checkpoints
//
// The worker brings the checkpoint that was named last to the coordinator, now and then while
// the trainer runs, and when the attempt ends otherwise than well. The next attempt of the
// trial, on whichever worker, begins with that entry, and it alone, in its checkpoint folder,
// and with the lines that the report had up to the one that names it in its report file: so
// its curves are whole, and it had best report on from there. Before the last, a line each, stand
// the metrics that were printed until then ({"printed": {"loss": 0.31}, "step": 3}). Which
// those are is known by when they were printed, and for what was printed in the moment around
// the checkpoint by their steps: it is of use if both count alike. A trainer that finds nothing
// in the folder begins anew. Entries may be removed when a later one was named.
//
// # What a trainer may print
//
// A program that knows nothing of swath prints. Standard output is scanned, live, for
// the metrics that the sweep file names: every name=value on a line, spaces around the
// equals sign allowed, or a regular expression of the user's; [Scanner] has the rules.
// A metric that occurs in the report file is not taken from standard output.
//
// # How a trainer ends
//
// By exiting. The codes that mean something:
//
//	0      done ([ExitOK])
//	64     the parameters cannot work; no retry ([ExitSpec])
//	other  failed; retried where the sweep file allows it
//
// An end line overrides the code, except that nothing turns a non-zero exit into
// success. To stop a trainer, SIGTERM is sent to its process group and, after a grace
// (10 seconds by default), SIGKILL. Processes that it leaves behind are ended too; on Linux
// also those that left the group, where it was stopped, or where they hold its output open
// and it lasted. However a trainer that was stopped exits, its trial goes on elsewhere,
// unless it was done: that is exit code 0 with an end line that says "ok".
//
// # Rules of the reading half
//
//   - A reader's position is the offset after the last line it yielded, with the counts
//     that reading on depends on. A position that was saved and restored continues
//     without a point lost or repeated.
//   - Reading the same bytes from the same position yields the same points in the same
//     order, however often the file was looked at in between.
package report

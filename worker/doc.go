// Package worker is the agent on a machine: it holds a session with the coordinator,
// runs the attempts that it is told to run, each as a process of its own (package
// exec), and reports what they measure, print and come to.
//
// # Vocabulary
//
//   - The agent holds an attempt from the moment that Start arrives until Forget does:
//     running first, then ended and waiting for its end to be acknowledged.
//   - A session is one connection to the coordinator; the agent has at most one at a
//     time, and a new one whenever the last broke.
//   - A reporter tells the coordinator of one attempt during one session.
//   - The home is the directory that an agent owns while it runs; its identity and its
//     attempts are kept there.
//
// # The home
//
//	<home>/worker/<n>/lock                     held while an agent runs
//	                  id                       the worker's identity, drawn once
//	                  attempts/<sweep>-<index>-<attempt>/
//	                      attempt.json         everything of Start; there before the process
//	                      ended.json           how it ended; there before it is reported
//	                      batches.jsonl        in which order points were read; see source.go
//	                      …                    what package exec keeps: report, output, process
//	<home>/artifacts/<sweep name>/<index>/     what trials left in their artifact directory
//
// An agent takes the first n whose lock is free, so several share a machine and a home,
// and one that is started again gets its identity and its attempts back.
//
// # Rules
//
//   - Disk first: an attempt is on disk before its process starts, its end before it is
//     reported, and points and output are read from the files that the trainer writes.
//     Memory holds a bounded window of them, however long the coordinator is away.
//   - A session starts from what was acknowledged, not from what was sent. So nothing
//     need be remembered of a session that broke: its reporters end with it, and the
//     next one's read again from the last acknowledged position. The same bytes yield
//     the same points under the same sequence numbers, so repetitions are recognised.
//   - Silence is not death: without a coordinator the trainers go on, and the agent
//     tries to connect for as long as it lives.
//   - An attempt's directory is removed when Forget arrives and not before. The files in
//     its artifact directory are moved to the home's artifacts first, where a later
//     attempt of the trial replaces those of an earlier one.
//   - How many attempts run at a time is the coordinator's business. The agent refuses
//     none: it runs whatever it is told to, and logs a warning if that is more than it
//     has slots or GPUs for. What it cannot start it reports as ended, with the reason.
//   - An agent that was killed left its trainers behind. The next one on the same home
//     ends them (those that /proc proves to be the ones it recorded; never another
//     process that got the same number) and reports the attempts as lost, with all
//     that they measured; see recover.go.
package worker

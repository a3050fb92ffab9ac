// Package worker is the agent on a machine: it holds a session with the coordinator,
// runs the attempts that it is told to run, each as a process of its own (package
// exec), and reports what they measure, print and come to.
//
// # Vocabulary
//
//   - The agent holds an attempt from the moment that Start arrives until Forget does:
//     waiting for a slot first, then running, then ended and waiting for its end to be
//     acknowledged.
//   - The keeper (package keeper) is the process that starts trainers in the agent's
//     place, so that they outlive it. An agent adopts what an earlier one's keeper runs.
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
//	                  keeper.sock, keeper.log  and process.json: the keeper's
//	                  attempts/<sweep>-<index>-<attempt>/
//	                      attempt.json         everything of Start; there once it lasts
//	                      ended.json           how it ended; there once nobody takes note
//	                      batches.jsonl        in which order points were read; see source.go
//	                      checkpoint.json      the last one that was named; see checkpoint.go
//	                      place.json           from where on they can be; see logs.go
//	                      …                    what package exec keeps: report, output, process
//	                  checkpoints/<digest>.<sweep>-<index>  those brought and fetched lately; see cache.go
//	<home>/artifacts/<sweep name>/<index>/     what trials left in their artifact directory
//
// The identity is no copy's of the home: the coordinator tells agents apart by the place that they
// say it is kept in, and refuses a second one while the lease of the first lasts.
//
// An agent takes the first n whose lock is free, so several share a machine and a home,
// and one that is started again gets its identity and its attempts back.
//
// # Rules
//
//   - Points and output are read from the files that the trainer writes. Memory holds a
//     bounded window of them, however long the coordinator is away.
//   - What is on disk is there for the next agent, not for the next boot: with the machine
//     the trainers die, and their attempts are lost whatever is known of them. So records
//     are not fsynced. And what the keeper remembers need not be on disk: an attempt's
//     record is written when it has run for a moment (the keeper writes it at once should
//     the agent die), its end when the coordinator has not acknowledged it in a moment.
//     Short trials never come to that, and cost little more than their process. An end
//     that waits for the coordinator is fsynced: it may be that of days of training.
//   - A session starts from what was acknowledged, not from what was sent. So nothing
//     need be remembered of a session that broke: its reporters end with it, and the
//     next one's read again from the last acknowledged position. The same bytes yield
//     the same points under the same sequence numbers, so repetitions are recognised.
//   - Silence is not death: without a coordinator the trainers go on, and the agent
//     tries to connect for as long as it lives.
//   - An attempt's directory is removed when Forget arrives and not before. The files in
//     its artifact directory are moved to the home's artifacts first, where a later
//     attempt of the trial replaces those of an earlier one.
//   - The agent refuses no attempt, but for one: on a GPU that others began to use while
//     it was on its way. As many run as there are slots, and as their resources allow; the
//     others wait, those of the highest priority before the others, and of equal ones in the
//     order in which they came. A slot is free the moment that its
//     process has ended, before anybody is told. Which GPUs an attempt gets, the coordinator
//     says. What cannot be started is reported as ended, with the reason.
//   - Where all slots are taken, those that could start whichever of the running ones ends
//     first wait in the keeper, which need not ask.
//   - Those that wait are given back when the coordinator recalls them, and die with the
//     agent: the next one does not list them, and the coordinator, which never heard
//     that they started, sends them again if they are still wanted.
//   - An agent that was killed left its trainers with the keeper, and the next one adopts
//     them, or learns how they ended. Where the keeper was killed, too, or there was
//     none, it ends them (those that /proc proves to be the ones it recorded; never
//     another process that got the same number) and reports the attempts as lost, with
//     all that they measured; see recover.go.
//   - The checkpoint that a trainer named last is brought to the coordinator now and then,
//     and before an end is reported that others go on from; see checkpoint.go.
//   - What a trainer prints is bounded, on disk and at the coordinator; see logs.go.
package worker

// Package keeper lets trainers outlive the worker's agent. A keeper is one small process
// a worker: the agent asks it to start trainers, it is their parent, and it learns how
// they end. An agent that is killed or upgraded loses nothing: the next one on the same
// home connects to the keeper and is told what runs and what has ended meanwhile.
//
// # Vocabulary
//
//   - The place is the agent's own directory in its home; the keeper's socket is there.
//   - The keeper keeps an attempt from the moment that it is asked to start it until it
//     is told to forget it, or has ended itself.
//   - A record is what an agent wants its successor to know of an attempt; the keeper does
//     not look into it.
//
// # Rules
//
//   - The keeper is the same program as the agent, run again with [EnvPlace] set. That is
//     looked at when this package is initialised, so that whatever program links it can
//     be its own keeper, tests included, and none has to know a verb for it: a program
//     that did not would run all of itself instead, once for each trial.
//   - Attempts may wait in the keeper for a slot, in the order of their priorities. It starts
//     the next one the moment that one ends, without asking the agent, which is told of both
//     together: short trials would otherwise spend more time on messages than on running. What
//     waits can be called back, and dies with the agent's connection.
//   - Package exec does the work, in the keeper instead of the agent: time limits, grace,
//     what is left behind, and the class of the end do not depend on an agent.
//   - The keeper belongs to a session of its own. Signals of a terminal do not reach it;
//     SIGTERM and its like it leaves to the agent, which ends what runs and tells it to
//     end, too. Without an agent they end what runs, as preempted.
//   - One agent at a time: its connection is read to the end before the next one is
//     answered. So whatever an agent asked for before it died has been done, or never
//     will be, when its successor is told what there is.
//   - When an agent dies, the keeper writes the records of its attempts, unless they are
//     there already, and from then on how they end ([exec.SaveEnd]). While an agent lives
//     that is the agent's business, which takes its time: most attempts of less than a
//     moment never need it. Only the death of both within that moment loses an end, and
//     then the attempt counts as lost.
//   - A keeper ends when it is told to and nothing runs; when nothing runs and no agent
//     came for [Linger]; and when no agent came for [Abandon], together with what runs:
//     the trials were given to other workers long ago.
//   - A keeper that dies leaves orphans. The agent ends them and reports them as lost.
package keeper

// Package exec runs one attempt of a trial as one process group, and reads what it
// leaves: points, logs and the way it ended. It is the worker's half of the trainer
// protocol, which package trainer/report specifies.
//
// # Vocabulary
//
//   - The attempt directory holds everything of one attempt: the parameters (params.json),
//     the report file (report.jsonl), standard output and error (stdout, stderr), the
//     folders checkpoint and artifacts unless they are elsewhere, while the trainer runs
//     process.json, and ended.json where somebody had a reason to save the end.
//   - The leader is the process that was started; its group is all its descendants that
//     did not leave the group on purpose.
//
// # Rules
//
//   - Output goes from the trainer straight into files, never through a pipe of the
//     worker: a trainer survives its worker, and a slow worker slows no trainer.
//   - Everything that ends an attempt early (cancel, time limit, shutdown) is a stop:
//     SIGTERM to the group, SIGKILL after the grace. The first stop decides the class.
//   - When the leader has ended, the attempt has: what is left of its group is ended
//     before the attempt counts as done. After a stop the rest has the remaining grace (a
//     shell dies at once, the trainer in it may still be writing its checkpoint).
//   - How an attempt ended is decided in one pure function; see classify.go.
//   - To prepare an attempt and to start it are two things, so that another process may
//     do the second; see [Command].
package exec

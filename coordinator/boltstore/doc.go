// Package boltstore keeps what a coordinator knows in a directory, the home: two
// bbolt files and a tree of logs. It is the default store.
//
// # Vocabulary
//
//   - state.db holds the records of sweeps and trials: small, hot, one writer.
//   - metrics.db holds the series: bulk, appended to, compressed. A series is one
//     metric of one attempt; its points are kept in blocks (see block.go), and
//     blocks in chunks.
//   - logs/SWEEP/INDEX/ATTEMPT/{stdout,stderr} is what attempts print.
//   - checkpoints/DIGEST is a checkpoint, named by the SHA-256 of its content.
//   - A number stands for a sweep's id in the keys of a file: four bytes instead of
//     an id, in order of arrival.
//
// The tree of buckets is drawn in state.go and in metrics.go, the encoding of
// records beside the functions that do it.
//
// # Rules
//
//   - One process has the home at a time; bbolt's lock on the files enforces it.
//     Another is told so, in an error that wraps sweeps.ErrConflict.
//   - A commit is one transaction, synced before it returns. Batching changes into
//     few commits is the caller's business.
//   - No callback runs inside a transaction. So a slow reader blocks nobody, and
//     reads longer than a page of rows see commits made meanwhile.
//   - A failure of the disk wraps sweeps.ErrStorage, is one line, and says what to
//     do. The files are created complete or not at all.
//   - Each file has a schema version. A file of an older one is upgraded in one
//     transaction when it is opened, also to be read (upgrade.go), one of a newer one is refused.
package boltstore

// Package checkpoint keeps the state of a training in files, so that a training that
// was interrupted goes on as if it had not been.
//
// Vocabulary. A [Checkpoint] is that state after some step: tensors (weights and what
// the optimiser remembers), the trainer's own counters, and the metrics that it has
// reported so far. A [Folder] holds the checkpoints of one training, a file each; the
// training's [Identity] says which training that is, by the trainer's name and the
// parameters that decide the numbers.
//
// Rules.
//
//   - A file appears under its name only when it is complete and on disk: it is written
//     beside, flushed, and renamed. A crash at any instant leaves the files before.
//   - A file says its version and ends with a checksum of all of it. One that is cut
//     short or changed is never restored; the one before it is.
//   - A checkpoint of another training is refused with what differs, and is neither
//     used nor overwritten.
//   - Numbers are restored bit for bit, NaN and infinities included.
//
// # The file
//
// All integers are little-endian; a varint is that of encoding/binary.
//
//	8 bytes    "SWATHCKP"
//	uint32     version of the format, 1
//	uint32     length of the header
//	header     JSON: identity, step, the trainer's state, and of each tensor name and
//	           shape, of the reports the names of their metrics and their length in bytes
//	reports    for each: step (varint), number of metrics (uvarint), and for each of
//	           these the number of its name (uvarint) and its value (float64)
//	tensors    the elements of each, float32, in the header's order
//	32 bytes   SHA-256 of all before
package checkpoint

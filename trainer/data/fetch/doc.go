// Package fetch downloads the public data sets that package data reads.
//
// Vocabulary: a set is one or several files; its source says from where, how many bytes and with which SHA-256; a
// part is the file NAME.part beside the final one, which holds what has arrived so far, with NAME.part.json beside it
// for what the server said about the file's version.
//
// Rules: a file appears under its final name only after its checksum was verified and its bytes are on disk. An
// interrupted download leaves its part for the next call to go on from; a corrupted one is removed. Failures that
// time may heal are retried with growing pauses, for as long as the download makes progress; the rest are reported
// at once. Nothing is unpacked: package data reads the archives as they are. Standard library only.
package fetch

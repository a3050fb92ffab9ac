// Package disk tells how much room there is on a disk. It is a leaf, and the one place that
// asks the system: the store asks it for checkpoints, and the command line hands it to
// whoever else writes much (the worker, the download of data sets).
package disk

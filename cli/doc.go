// Package cli is the command line: one file a verb, help inside. It is the only place
// that sees everything, and joins it: stores to the coordinator, the coordinator to the
// wire, workers to trainers.
//
// A verb reads its configuration ([Config], the only use of viper), does its work through
// a client of the coordinator, and returns an error; [Run] prints it on one line and turns
// it into the exit code. What a verb found goes to standard output; progress, notes and
// errors go to standard error.
package cli

// Command swath runs hyperparameter sweeps: it expands a sweep file into trials, runs
// them on any number of machines, records every metric, and answers questions about what
// came out. README.md says how to use it, ARCHITECTURE.md how it is built; everything that
// the program does is in package cli and below.
package main

import (
	"os"

	"swath/cli"
)

func main() {
	os.Exit(cli.Main())
}

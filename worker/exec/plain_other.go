//go:build !unix

package exec

import "os"

// openPlain is os.OpenFile of a file that is none to wait for, as a pipe is.
func openPlain(path string, flags int) (*os.File, error) { return os.OpenFile(path, flags, 0o644) }

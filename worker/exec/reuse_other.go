//go:build !linux

package exec

import "os"

// Reusable reports that no file can be another attempt's: nothing tells whether somebody
// can still write to it.
func Reusable(string, string) bool { return false }

// unused cannot be told.
func unused(*os.File) bool { return false }

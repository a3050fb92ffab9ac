//go:build !linux

package exec

// Reusable reports that no file can be another attempt's: nothing tells whether somebody
// can still write to it.
func Reusable(string, string) bool { return false }

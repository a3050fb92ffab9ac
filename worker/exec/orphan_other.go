//go:build !linux

package exec

// killDescendants finds nobody where environments cannot be read.
func killDescendants(string) bool { return false }

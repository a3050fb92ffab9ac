//go:build !linux

package boltstore

import "testing"

// smallDisk skips the test: only Linux mounts a small disk easily.
func smallDisk(t *testing.T, _ int) string {
	t.Helper()
	t.Skip("a small disk is mounted on Linux only")
	return ""
}

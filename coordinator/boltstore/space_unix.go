//go:build linux || darwin

package boltstore

import "syscall"

// diskSpace returns how many bytes a user may still write to the disk that holds dir, and
// how large that is; zeros where it is not known.
func diskSpace(dir string) (free, total int64) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, 0
	}
	return int64(s.Bavail) * int64(s.Bsize), int64(s.Blocks) * int64(s.Bsize)
}

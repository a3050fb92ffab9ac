//go:build linux || darwin

package cli

import "syscall"

// diskSpace returns how many bytes a user may still write to the disk that holds dir, and
// how large it is. It is not known where it says nothing: of a read-only disk, or of no disk at all, such as /proc.
func diskSpace(dir string) (free, total uint64, known bool) {
	var s syscall.Statfs_t
	const readOnly = 1 // of the flags, on either system
	if err := syscall.Statfs(dir, &s); err != nil || s.Blocks == 0 || uint64(s.Flags)&readOnly != 0 {
		return 0, 0, false
	}
	return uint64(s.Bavail) * uint64(s.Bsize), uint64(s.Blocks) * uint64(s.Bsize), true
}

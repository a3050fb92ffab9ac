//go:build linux || darwin

package disk

import "syscall"

// Space returns how many bytes a user may still write to the disk that holds a folder, and
// how many it has in all. They are not known of a folder that is not there, of a disk that is
// read-only, and of what is no disk at all, such as /proc.
func Space(dir string) (free, total int64, known bool) {
	var s syscall.Statfs_t
	const readOnly = 1 // of the flags, on either system
	if err := syscall.Statfs(dir, &s); err != nil || s.Blocks == 0 || uint64(s.Flags)&readOnly != 0 {
		return 0, 0, false
	}
	return int64(s.Bavail) * int64(s.Bsize), int64(s.Blocks) * int64(s.Bsize), true
}

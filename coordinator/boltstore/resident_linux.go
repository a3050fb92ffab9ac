package boltstore

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
)

// residentFiles is how much of files is resident in this process.
func residentFiles() (bytesResident int64, ok bool) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, false
	}
	// The third field is the resident pages that belong to files.
	fields := bytes.Fields(b)
	if len(fields) < 3 {
		return 0, false
	}
	pages, err := strconv.ParseInt(string(fields[2]), 10, 64)
	return pages * int64(os.Getpagesize()), err == nil
}

// emptyMap takes the pages of a map of a file out of this process. They are still in the
// system's cache.
func emptyMap(address uintptr, size int64) {
	// An error would mean that the pages stay, which is what they do elsewhere.
	_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, address, uintptr(size), syscall.MADV_DONTNEED)
}

//go:build !linux && !darwin

package cli

// diskSpace is not known here.
func diskSpace(string) (free, total uint64, known bool) { return 0, 0, false }

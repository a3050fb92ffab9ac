//go:build !linux

package gpu

// ownerOf would say which trial a process belongs to. It cannot be told here, so processes
// count as not seen.
func ownerOf(int, []Trial) (owner *Trial, seen bool) { return nil, false }

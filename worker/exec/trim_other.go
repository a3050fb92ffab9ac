//go:build !linux

package exec

import (
	"errors"
	"fmt"
)

// Trim cannot free a part of a file here: the output of a chatty trainer takes the disk
// space that it takes.
func Trim(_ string, s Stream, from, _ int64) (end int64, err error) {
	return from, fmt.Errorf("trim the attempt's %s: %w", s, errors.ErrUnsupported)
}

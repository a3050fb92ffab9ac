package sweeps

import (
	"fmt"
	"strings"
)

// maxName is the length that a sweep's name may have, in bytes.
const maxName = 128

// CheckName reports whether name may name a sweep: letters, digits, dots, hyphens and
// underscores, beginning with a letter or digit, so that it needs no quotes in a shell and
// may name a folder. The error wraps ErrInvalid.
func CheckName(name string) error {
	ok := name != "" && len(name) <= maxName && !strings.ContainsAny(name[:1], "._-")
	for _, r := range name {
		ok = ok && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r))
	}
	if !ok {
		return fmt.Errorf("%w: name %q of a sweep: want at most %d letters, digits, dots, hyphens and underscores, beginning with a letter or digit", ErrInvalid, name, maxName)
	}
	return nil
}

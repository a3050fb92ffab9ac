package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"swath/proto/wire"
	"swath/sweeps"
)

func addReuseFlags(f *pflag.FlagSet) {
	f.Bool("reuse", false, "take over results of equal trials that finished in other sweeps, whatever the file says")
	f.Bool("no-reuse", false, "run every trial, whatever the file says")
}

// reuseOf is what the flags say of reuse; nil if nothing.
func reuseOf(f *pflag.FlagSet) (*bool, error) {
	var reuse *bool
	for name, value := range map[string]bool{"reuse": true, "no-reuse": false} {
		set, err := f.GetBool(name)
		if err != nil {
			return nil, err
		}
		if !set {
			continue
		}
		if reuse != nil {
			return nil, errors.New("--reuse and --no-reuse: say one of them")
		}
		reuse = &value
	}
	return reuse, nil
}

// checkReuse says what is wrong if the flags ask for reuse where the file forbids it.
func (f *sweepFile) checkReuse(reuse *bool) error {
	if reuse == nil || !*reuse {
		return nil
	}
	return f.spec.CheckReuse()
}

// maxDigest is how large a program may be to be read for its digest. A larger one is told
// from others by its size and time.
const maxDigest = 32 << 20

// programDigest is a digest of the content of the files that the sweep's command names, as
// far as they are here; empty if none is. Trials of different programs are not equal.
func (f *sweepFile) programDigest() string {
	if f.spec.Trainer != "" {
		return ""
	}
	sum := sha256.New()
	found := false
	for _, name := range f.programFiles() {
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(f.workDir, path)
		}
		if digestFile(sum, name, path) {
			found = true
		}
	}
	if !found {
		return ""
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// digestFile adds a file to a digest, if it can be read.
func digestFile(sum io.Writer, name, path string) bool {
	st, err := os.Stat(path)
	if err != nil || !st.Mode().IsRegular() {
		return false
	}
	content := fmt.Sprintf("%d bytes of %s", st.Size(), st.ModTime())
	if st.Size() <= maxDigest {
		b, err := os.ReadFile(path)
		if err != nil {
			return false
		}
		one := sha256.Sum256(b)
		content = hex.EncodeToString(one[:])
	}
	_, _ = fmt.Fprintf(sum, "%q %s\n", name, content) // a hash takes everything
	return true
}

// planReuse says how many trials of the file would take over a result. Where nobody can be
// asked there is nothing to take over either, as far as is known.
func (a *app) planReuse(ctx context.Context, f *sweepFile) error {
	cl, err := a.connect(ctx, toRead)
	if errors.Is(err, sweeps.ErrUnavailable) {
		a.note("reuse: %s", oneLine(err))
		return nil
	}
	if err != nil {
		return err
	}
	defer cl.close()
	n, of, err := cl.FindReusable(ctx, wire.Submission{Source: f.source, File: f.file, Program: f.programDigest()})
	if err != nil {
		return err
	}
	which := "trials"
	if of < f.count.Trials || !f.count.Bounded {
		which = "first trials"
	}
	a.note("reuse: of the %s %s %s would take over a result that is there already", thousands(of), which, thousands(n))
	return nil
}

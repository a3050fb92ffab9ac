// Package bundle packs a checkpoint, and the report up to it, into one file, and unpacks it
// again: what travels from a worker to the coordinator, and from there to the next worker,
// or to a user.
//
// A bundle is a tar file with the entry "report" first, the report's lines, and then the
// checkpoint under "checkpoint/". The same files give the same bytes, whoever packs them
// when, so that the SHA-256 of a bundle names it. Only regular files and folders are packed; a link
// to one that is in the checkpoint folder is packed as what it leads to.
package bundle

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

const (
	reportEntry      = "report"
	checkpointPrefix = "checkpoint/"
)

// ErrChanged says that a checkpoint was written to while it was packed.
var ErrChanged = errors.New("the checkpoint changed while it was packed")

// Info is what a bundle is.
type Info struct {
	Digest string // SHA-256 of the bundle, in hexadecimal digits
	Size   int64
}

// Pack writes the bundle of the entry name of the folder dir, a file or a folder, and of the
// report's lines to the file at path. An error that wraps [ErrChanged] says that the entry
// was not left alone meanwhile, one that wraps [fs.ErrNotExist] that it is gone.
func Pack(file, dir, name string, report []byte) (info Info, err error) {
	if !filepath.IsLocal(name) || path.Clean(filepath.ToSlash(name)) == "." {
		return info, fmt.Errorf("checkpoint %.80q is no entry of the checkpoint folder", name)
	}
	out, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return info, err
	}
	defer func() {
		if err = errors.Join(err, out.Close()); err != nil {
			_ = os.Remove(file) // the first error tells more
		}
	}()
	hash := sha256.New()
	sum := &counter{w: io.MultiWriter(out, hash)}
	w := tar.NewWriter(sum)
	if err := w.WriteHeader(&tar.Header{Name: reportEntry, Mode: 0o644, Size: int64(len(report)), Format: tar.FormatPAX}); err != nil {
		return info, err
	}
	if _, err := w.Write(report); err != nil {
		return info, err
	}
	root, err := follow(dir, filepath.Join(dir, name))
	if err == nil {
		// The order of WalkDir is that of the names.
		err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(root, p)
			if err != nil {
				return err
			}
			mode := d.Type()
			if mode&fs.ModeSymlink != 0 {
				if p, mode, err = followFile(dir, p); err != nil {
					return err
				}
			}
			return packOne(w, p, checkpointPrefix+path.Join(filepath.ToSlash(name), filepath.ToSlash(rel)), mode)
		})
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return info, fmt.Errorf("pack checkpoint %s: %w", name, err)
	}
	return Info{Digest: hex.EncodeToString(hash.Sum(nil)), Size: sum.n}, nil
}

// follow returns where a path leads that may be a link, which must be in the folder dir.
func follow(dir, p string) (string, error) {
	base, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", err
	}
	to, err := filepath.EvalSymlinks(p)
	if err != nil {
		return "", err
	}
	if rel, err := filepath.Rel(base, to); err != nil || rel == "." || !filepath.IsLocal(rel) {
		return "", fmt.Errorf("%s leads out of the checkpoint folder", filepath.Base(p))
	}
	return to, nil
}

// followFile is follow of a link to a file. One to a folder could lead to itself.
func followFile(dir, p string) (to string, mode fs.FileMode, err error) {
	if to, err = follow(dir, p); err != nil {
		return "", 0, err
	}
	st, err := os.Stat(to)
	if err != nil {
		return "", 0, err
	}
	if st.IsDir() {
		return "", 0, fmt.Errorf("%s is a link to a folder", filepath.Base(p))
	}
	return to, st.Mode().Type(), nil
}

func packOne(w *tar.Writer, p, name string, mode fs.FileMode) error {
	if mode.IsDir() {
		return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755, Format: tar.FormatPAX})
	}
	if !mode.IsRegular() {
		return fmt.Errorf("%s is neither a file nor a folder", name)
	}
	f, err := os.Open(p)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	before, err := f.Stat()
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: before.Size(), Format: tar.FormatPAX}); err != nil {
		return err
	}
	n, err := io.Copy(w, io.LimitReader(f, before.Size()))
	if err != nil {
		return err
	}
	after, err := f.Stat()
	if err != nil {
		return err
	}
	if n != before.Size() || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		return fmt.Errorf("%w: %s", ErrChanged, name)
	}
	return nil
}

// Unpack unpacks a bundle: the checkpoint into the folder dir, which exists, and the report's
// lines into the file report, or nowhere if that is empty.
func Unpack(r io.Reader, dir, report string) error {
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("unpack a checkpoint: %w", err)
		}
		rel, ours := strings.CutPrefix(h.Name, checkpointPrefix)
		to := filepath.Join(dir, filepath.FromSlash(rel))
		switch {
		case h.Name == reportEntry && report == "":
		case h.Name == reportEntry:
			err = unpackFile(t, report)
		case !ours || !filepath.IsLocal(filepath.FromSlash(strings.TrimSuffix(rel, "/"))):
			err = fmt.Errorf("%.80q is no part of a checkpoint", h.Name)
		case h.Typeflag == tar.TypeDir:
			err = os.MkdirAll(to, 0o755)
		case h.Typeflag == tar.TypeReg:
			if err = os.MkdirAll(filepath.Dir(to), 0o755); err == nil {
				err = unpackFile(t, to)
			}
		default:
			err = fmt.Errorf("%.80q is neither a file nor a folder", h.Name)
		}
		if err != nil {
			return fmt.Errorf("unpack a checkpoint: %w", err)
		}
	}
}

func unpackFile(r io.Reader, to string) error {
	f, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}

// Verify reports whether the file at path is the bundle of a digest.
func Verify(file, digest string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != digest {
		return fmt.Errorf("%s is damaged: its SHA-256 is %.12s, and not %.12s", file, got, digest)
	}
	return nil
}

// counter counts the bytes that go through it.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// Lines returns the first n bytes of the file at path: the report up to a checkpoint.
func Lines(file string, n int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	var b bytes.Buffer
	if _, err := io.Copy(&b, io.LimitReader(f, n)); err != nil {
		return nil, err
	}
	if int64(b.Len()) != n {
		return nil, fmt.Errorf("%s has %d bytes, and had %d: %w", file, b.Len(), n, ErrChanged)
	}
	return b.Bytes(), nil
}

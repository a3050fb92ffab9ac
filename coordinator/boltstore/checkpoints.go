package boltstore

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"swath/coordinator/disk"
	"swath/sweeps"
)

// checkpointStore is the coordinator.CheckpointStore in plain files: checkpoints/DIGEST,
// and with partSuffix behind it one that has not wholly arrived.
type checkpointStore struct {
	root     string
	readOnly bool
}

const partSuffix = ".part"

var goodDigest = regexp.MustCompile(`^[0-9a-f]{64}$`)

// path returns the file of a digest. Digests come from clients.
func (c *checkpointStore) path(digest string) (string, error) {
	if !goodDigest.MatchString(digest) {
		return "", fmt.Errorf("%w: %.80q is no SHA-256 in hexadecimal digits", sweeps.ErrInvalid, digest)
	}
	return filepath.Join(c.root, digest), nil
}

// Have implements coordinator.CheckpointStore.
func (c *checkpointStore) Have(digest string) (size int64, complete bool, err error) {
	path, err := c.path(digest)
	if err != nil {
		return 0, false, err
	}
	for _, file := range []string{path, path + partSuffix} {
		info, err := os.Stat(file)
		switch {
		case err == nil:
			return info.Size(), file == path, nil
		case !errors.Is(err, fs.ErrNotExist):
			return 0, false, storageError("look at", file, err)
		}
	}
	return 0, false, nil
}

// Append implements coordinator.CheckpointStore.
func (c *checkpointStore) Append(digest string, offset int64, data []byte) (err error) {
	path, err := c.path(digest)
	if err != nil {
		return err
	}
	path += partSuffix
	if c.readOnly {
		return storageError("write", path, syscall.EROFS)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(c.root, 0o755); err != nil {
			return storageError("make", c.root, err)
		}
		f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
	}
	if err != nil {
		return storageError("write", path, err)
	}
	defer func() {
		if e := f.Close(); e != nil && err == nil {
			err = storageError("write", path, e)
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return storageError("write", path, err)
	}
	if info.Size() != offset {
		return fmt.Errorf("%w: checkpoint %.12s has %d bytes, and more come at %d", sweeps.ErrConflict, digest, info.Size(), offset)
	}
	if _, err := f.WriteAt(data, offset); err != nil {
		return storageError("write", path, err)
	}
	return nil
}

// Complete implements coordinator.CheckpointStore.
func (c *checkpointStore) Complete(digest string) (err error) {
	path, err := c.path(digest)
	if err != nil {
		return err
	}
	part := path + partSuffix
	f, err := os.OpenFile(part, os.O_RDWR, 0)
	if err != nil {
		return storageError("complete", part, err)
	}
	defer func() { _ = f.Close() }() // it was synced, or is of no use
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return storageError("read", part, err)
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != digest {
		return errors.Join(fmt.Errorf("%w: checkpoint %.12s arrived damaged: its content has SHA-256 %.12s", sweeps.ErrInvalid, digest, got), os.Remove(part))
	}
	if err := f.Sync(); err != nil {
		return storageError("write", part, err)
	}
	if err := os.Rename(part, path); err != nil {
		return storageError("complete", part, err)
	}
	syncDir(c.root)
	return nil
}

// Read implements coordinator.CheckpointStore.
func (c *checkpointStore) Read(digest string, offset int64, limit int) ([]byte, error) {
	path, err := c.path(digest)
	if err != nil {
		return nil, err
	}
	if offset < 0 {
		return nil, fmt.Errorf("%w: checkpoint %.12s: negative offset %d", sweeps.ErrInvalid, digest, offset)
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: checkpoint %.12s is not kept", sweeps.ErrNotFound, digest)
	}
	if err != nil {
		return nil, storageError("read", path, err)
	}
	defer func() { _ = f.Close() }() // it was only read
	data := make([]byte, limit)
	n, err := f.ReadAt(data, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, storageError("read", path, err)
	}
	return data[:n], nil
}

// Remove implements coordinator.CheckpointStore.
func (c *checkpointStore) Remove(digest string) error {
	path, err := c.path(digest)
	if err != nil {
		return err
	}
	for _, file := range []string{path, path + partSuffix} {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return storageError("remove", file, err)
		}
	}
	return nil
}

// List implements coordinator.CheckpointStore.
func (c *checkpointStore) List() (map[string]int64, error) {
	entries, err := os.ReadDir(c.root)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]int64{}, nil
	}
	if err != nil {
		return nil, storageError("read", c.root, err)
	}
	sizes := map[string]int64{}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue // removed meanwhile
		}
		name, part := strings.CutSuffix(e.Name(), partSuffix)
		switch {
		case !goodDigest.MatchString(name):
		case !part:
			sizes[name] = info.Size()
		case !c.readOnly && time.Since(info.ModTime()) > 24*time.Hour:
			_ = os.Remove(filepath.Join(c.root, e.Name())) // it may go another time
		}
	}
	return sizes, nil
}

// Space implements coordinator.CheckpointStore.
func (c *checkpointStore) Space() (free, total int64) {
	dir := c.root
	if _, err := os.Stat(dir); err != nil {
		dir = filepath.Dir(dir)
	}
	free, total, _ = disk.Space(dir)
	return free, total
}

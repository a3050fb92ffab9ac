package checkpoint

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// DefaultKeep is how many checkpoints a folder keeps: the last, and one before it in case the disk has lost it.
const DefaultKeep = 2

// The names of files: the step in decimal between prefix and suffix, with zeros so that names sort as steps do.
// A file that is still being written has tempSuffix behind.
const (
	prefix     = "step-"
	suffix     = ".ckpt"
	tempSuffix = ".tmp"
)

// Folder holds the checkpoints of one training. It is for one process at a time.
type Folder struct {
	Path     string
	Identity Identity
	// Keep is how many checkpoints to keep; 0 stands for [DefaultKeep].
	Keep int
}

// Latest returns the newest checkpoint of the folder that can be read, or nil where there is none: the training then
// begins at its beginning. skipped tells of newer files that cannot be read; the next [Folder.Save] removes them. The
// error is a [*MismatchError] where the checkpoint is of another training, or one of reading the folder.
func (f *Folder) Latest() (c *Checkpoint, skipped []error, err error) {
	files, err := f.list()
	if err != nil {
		return nil, nil, err
	}
	for _, file := range files {
		path := filepath.Join(f.Path, file.name)
		b, err := os.ReadFile(path)
		if err == nil {
			c, err = Read(b)
		}
		if err != nil {
			skipped = append(skipped, fmt.Errorf("skipping checkpoint %s: %w", path, err))
			continue
		}
		if !c.Identity.equal(f.Identity) {
			return nil, skipped, &MismatchError{Path: path, Want: f.Identity, Have: c.Identity}
		}
		return c, skipped, nil
	}
	return nil, skipped, nil
}

// Save writes a checkpoint and then removes all but the newest ones up to its step. Files of later steps go too:
// what they hold has been given up, by a training that went on from an earlier one.
func (f *Folder) Save(c *Checkpoint) error {
	c.Identity = f.Identity
	if err := f.write(c); err != nil {
		return fmt.Errorf("saving a checkpoint of step %d in %s: %w", c.Step, f.Path, err)
	}
	files, err := f.list()
	if err != nil {
		return err
	}
	keep := cmp.Or(f.Keep, DefaultKeep)
	var errs []error
	for _, file := range files {
		if file.step <= c.Step && keep > 0 {
			keep--
			continue
		}
		if err := os.Remove(filepath.Join(f.Path, file.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("removing an old checkpoint: %w", err))
		}
	}
	return errors.Join(errs...)
}

// FileName is the name of the file of a step's checkpoint in its folder.
func FileName(step int64) string { return fmt.Sprintf("%s%012d%s", prefix, step, suffix) }

// write puts a checkpoint under its name, whole or not at all.
func (f *Folder) write(c *Checkpoint) (err error) {
	name := filepath.Join(f.Path, FileName(c.Step))
	// One name for all attempts at a step, so that what a crash leaves behind is overwritten and does not pile up.
	temp := name + tempSuffix
	file, err := os.OpenFile(temp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp))
		}
	}()
	w := bufio.NewWriterSize(file, 1<<18)
	err = Write(w, c)
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err = os.Rename(temp, name); err != nil {
		return err
	}
	return syncDir(f.Path)
}

// syncDir makes a renaming in a folder last. Windows has no such thing, and needs none.
func syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

type file struct {
	name string
	step int64
}

// list returns the complete files of the folder, the newest first. What interrupted writes have left is removed.
func (f *Folder) list() ([]file, error) {
	entries, err := os.ReadDir(f.Path)
	if err != nil {
		return nil, fmt.Errorf("looking for checkpoints: %w", err)
	}
	var files []file
	for _, e := range entries {
		middle, ours := strings.CutPrefix(e.Name(), prefix)
		if !ours || e.IsDir() {
			continue
		}
		if strings.HasSuffix(middle, suffix+tempSuffix) {
			if err := os.Remove(filepath.Join(f.Path, e.Name())); err != nil {
				return nil, fmt.Errorf("removing a checkpoint that was not finished: %w", err)
			}
			continue
		}
		middle, complete := strings.CutSuffix(middle, suffix)
		step, err := strconv.ParseInt(middle, 10, 64)
		if !complete || err != nil || step < 0 {
			continue // not a file of ours
		}
		files = append(files, file{e.Name(), step})
	}
	slices.SortFunc(files, func(a, b file) int { return cmp.Compare(b.step, a.step) })
	return files, nil
}

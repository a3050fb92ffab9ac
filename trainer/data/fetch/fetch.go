package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Options says how to fetch. Its zero value downloads the published files from their authors.
type Options struct {
	// URL is another place to download from: of a set of one file the file's address, or else, and wherever it ends
	// in a slash, the folder that holds the set's files under their published names.
	URL string
	// SHA256 is the checksum, in hexadecimal, that the file must have instead of the published one; for sets of one
	// file.
	SHA256 string
	// Progress is told how many bytes of how many are there, over all files of the set, what an earlier call left
	// included; total is -1 where it is not known. It is called from the goroutine that called Fetch, several times
	// a megabyte.
	Progress func(done, total int64)
	// Space tells how many bytes may still be written to the disk that holds a folder, and how many it has, so that a
	// download that will not fit is refused before it begins; nil means that nobody knows.
	Space func(dir string) (free, total int64, known bool)
	// Client makes the requests; nil means one without a limit on the whole download's time.
	Client *http.Client
	// Pause is the time before the first retry, doubled before each further one; 0 means one second.
	Pause time.Duration
	// Silence is how long a server may send nothing before the connection is given up; 0 means one minute.
	Silence time.Duration
}

// Result says what Fetch found or brought.
type Result struct {
	Path       string // the file, or the folder of several
	Bytes      int64  // size of the set's files
	Downloaded int64  // bytes that came over the network in this call; 0 if all was there
	Resumed    int64  // bytes that an earlier call had left
}

// Fetch brings the files of a set into the data folder dir, which is made if need be, and verifies them.
//
// Files that are there with the right checksum are kept and cost no request. A file of another content under the
// final name is never touched: it is an error that says so. When ctx ends, what has arrived stays for the next call.
func Fetch(ctx context.Context, set, dir string, opts Options) (Result, error) {
	src, err := find(set)
	if err != nil {
		return Result{}, err
	}
	if src, err = src.mirrored(opts.URL, opts.SHA256); err != nil {
		return Result{}, err
	}
	if dir == "" {
		return Result{}, fmt.Errorf("fetch %s: no data folder was given; name one with --data DIR (SWATH_DATA)", set)
	}
	folder := filepath.Join(dir, src.folder)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return Result{}, fmt.Errorf("fetch %s: make the data folder: %w", set, err)
	}

	result := Result{Path: folder}
	progress := newTally(src, opts.Progress)
	for _, f := range src.files {
		d := newDownload(src.url(f), filepath.Join(folder, f.name), f, opts, progress)
		present, err := d.present()
		if err == nil && !present {
			err = d.run(ctx)
		}
		if err != nil {
			return Result{}, fmt.Errorf("fetch %s: %w", set, err)
		}
		size := d.size()
		progress.finish(size)
		result.Bytes += size
		result.Downloaded += d.received
		result.Resumed += d.resumed
	}
	if len(src.files) == 1 {
		result.Path = filepath.Join(folder, src.files[0].name)
	}
	return result, nil
}

// tally adds up the progress of a set's files.
type tally struct {
	report   func(done, total int64)
	total    int64 // of the set, 0 where unknown
	finished int64 // bytes of the files before this one
}

func newTally(src source, report func(done, total int64)) *tally {
	t := &tally{report: report}
	for _, f := range src.files {
		t.total += f.bytes
	}
	return t
}

// at reports the state of the current file; size is what its server says, or -1.
func (t *tally) at(done, size int64) {
	if t.report == nil {
		return
	}
	total := t.total
	if total == 0 { // one file, of a size that is not published
		total = size
	}
	t.report(t.finished+done, total)
}

func (t *tally) finish(size int64) {
	t.at(size, size)
	t.finished += size
}

// present reports whether the final file is there. Whatever else is under its name is left alone.
func (d *download) present() (bool, error) {
	info, err := os.Stat(d.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case !info.Mode().IsRegular():
		return false, fmt.Errorf("%s is no regular file; move it away", d.path)
	}
	sum, err := hashFile(d.path)
	if err != nil {
		return false, err
	}
	if sum != d.file.sha256 {
		return false, fmt.Errorf("%s is there already, with other content (sha256 %s, want %s), and was left alone: remove it to download the file anew, or go on with it if you trust it", d.path, sum, d.file.sha256)
	}
	return true, nil
}

func (d *download) size() int64 {
	info, err := os.Stat(d.path)
	if err != nil {
		return 0
	}
	return info.Size()
}

func hashFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // opened for reading: closing loses nothing
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

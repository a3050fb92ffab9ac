package data

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"swath/trainer/data/gunzip"
)

// CIFAR10Archive is the file name of CIFAR-10's binary version as its authors publish it.
const CIFAR10Archive = "cifar-10-binary.tar.gz"

const (
	cifarFolder  = "cifar-10-batches-bin" // the folder inside the archive
	cifarSide    = 32
	cifarImage   = 3 * cifarSide * cifarSide
	cifarRecord  = 1 + cifarImage // a label, then the planes of red, green and blue
	cifarRecords = 10_000         // records in each file
)

// cifarFiles are the files of the binary version: five of training images, one of test images.
var cifarFiles = []string{
	"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin",
	"test_batch.bin",
}

var cifarClasses = []string{"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}

// openCIFAR10 reads CIFAR-10 (Krizhevsky 2009; https://www.cs.toronto.edu/~kriz/cifar.html).
func openCIFAR10(ctx context.Context, dir string, _ Options) (*Dataset, error) {
	return cifarReader{records: cifarRecords}.open(ctx, dir)
}

// cifarReader reads the format with any number of records a file; the tests use small ones.
type cifarReader struct{ records int }

func (c cifarReader) open(ctx context.Context, dir string) (*Dataset, error) {
	at, err := locateCIFAR10(dir)
	if err != nil {
		return nil, err
	}
	train, test := (len(cifarFiles)-1)*c.records, c.records
	d := &Dataset{
		Name: "cifar10", Classes: cifarClasses, Channels: 3, Height: cifarSide, Width: cifarSide,
		Train: Split{make([]uint8, train*cifarImage), make([]int, train)},
		Test:  Split{make([]uint8, test*cifarImage), make([]int, test)},
	}
	if strings.HasSuffix(at, ".tar.gz") {
		err = c.readArchive(ctx, at, d)
	} else {
		err = parallel(ctx, len(cifarFiles), func(i int) error { return c.readFile(ctx, filepath.Join(at, cifarFiles[i]), d, i) })
	}
	if err != nil {
		return nil, err
	}
	d.measure()
	return d, d.check()
}

// locateCIFAR10 returns the folder with the binary files or the archive, in this order: dir itself (also where it
// is the archive), the archive's folder under dir, the archive in dir. A folder with only some of the files is
// passed over for a complete place, and reported where there is none.
func locateCIFAR10(dir string) (string, error) {
	missing := &MissingError{Set: "cifar10", Fetchable: true}
	if dir == "" {
		return "", missing
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() && strings.HasSuffix(dir, ".tar.gz") {
		return dir, nil
	}
	var partial error
	for _, folder := range []string{dir, filepath.Join(dir, cifarFolder)} {
		var absent []string
		for _, name := range cifarFiles {
			_, err := os.Stat(filepath.Join(folder, name))
			switch {
			case errors.Is(err, fs.ErrNotExist):
				absent = append(absent, name)
			case err != nil:
				return "", fmt.Errorf("look for cifar10: %w", err)
			}
		}
		switch {
		case len(absent) == 0:
			return folder, nil
		case len(absent) < len(cifarFiles) && partial == nil:
			partial = fmt.Errorf("data set cifar10 is incomplete: %s lacks %s; add it, or remove the rest and run `swath data fetch cifar10`", folder, enumerate(absent, "and"))
		}
	}
	archive := filepath.Join(dir, CIFAR10Archive)
	if _, err := os.Stat(archive); err == nil {
		return archive, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("look for cifar10: %w", err)
	}
	if partial != nil {
		return "", partial
	}
	missing.Looked = []string{
		"data_batch_1.bin to data_batch_5.bin and test_batch.bin in " + dir,
		"the same in " + filepath.Join(dir, cifarFolder),
		archive,
	}
	if part := archive + ".part"; exists(part) {
		missing.Unfinished = part
	}
	return "", missing
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func (c cifarReader) readFile(ctx context.Context, name string, d *Dataset, file int) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("read cifar10: %w", err)
	}
	defer func() { _ = f.Close() }() // opened for reading: closing loses nothing
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read cifar10: %w", err)
	}
	return c.readRecords(ctx, f, name, info.Size(), d, file)
}

// readArchive reads the files out of the gzipped tar, in memory, to its end, so that its checksums count.
func (c cifarReader) readArchive(ctx context.Context, name string, d *Dataset) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("read cifar10: %w", err)
	}
	defer func() { _ = f.Close() }() // opened for reading: closing loses nothing
	broken := func(err error) error {
		size := "?"
		if info, statErr := f.Stat(); statErr == nil {
			size = grouped(info.Size())
		}
		return fmt.Errorf("read cifar10: %s (%s bytes) is truncated or damaged: %w; remove it and run `swath data fetch cifar10`", name, size, err)
	}
	unzipped := gunzip.NewReader(f)
	seen := make([]bool, len(cifarFiles))
	for members := tar.NewReader(unzipped); ; {
		header, err := members.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return broken(err)
		}
		for i, want := range cifarFiles {
			if path.Base(header.Name) != want || header.Typeflag != tar.TypeReg {
				continue
			}
			if err := c.readRecords(ctx, members, name+": "+header.Name, header.Size, d, i); err != nil {
				return err
			}
			seen[i] = true
		}
	}
	if _, err := io.Copy(io.Discard, unzipped); err != nil {
		return broken(err)
	}
	for i, ok := range seen {
		if !ok {
			return fmt.Errorf("read cifar10: %s holds no %s: it is not CIFAR-10's binary version; remove it and run `swath data fetch cifar10`", name, cifarFiles[i])
		}
	}
	return nil
}

// readRecords reads one file of size bytes into its place in the set; the last file is the test split. Names are
// for errors only.
func (c cifarReader) readRecords(ctx context.Context, r io.Reader, name string, size int64, d *Dataset, file int) error {
	if want := int64(c.records * cifarRecord); size != want {
		return fmt.Errorf("read cifar10: %s has %s bytes, want %s (%s records of %s): it is truncated or not CIFAR-10's binary version; remove it and run `swath data fetch cifar10`",
			name, grouped(size), grouped(want), grouped(int64(c.records)), grouped(cifarRecord))
	}
	split, first := d.Train, file*c.records
	if file == len(cifarFiles)-1 {
		split, first = d.Test, 0
	}
	buf := make([]byte, min(100, c.records)*cifarRecord)
	for done := 0; done < c.records; {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("read cifar10: %s: %w", name, err)
		}
		part := buf[:min(len(buf), (c.records-done)*cifarRecord)]
		if n, err := io.ReadFull(r, part); err != nil {
			return fmt.Errorf("read cifar10: %s ends after %s of %s bytes: %w; it is truncated or damaged: remove it and run `swath data fetch cifar10`", name, grouped(int64(done*cifarRecord+n)), grouped(size), unexpected(err))
		}
		for ; len(part) > 0; part = part[cifarRecord:] {
			if part[0] >= 10 {
				return fmt.Errorf("read cifar10: %s: record %s has label %d, want 0 to 9: the file is damaged or not CIFAR-10's binary version", name, grouped(int64(done)), part[0])
			}
			split.Labels[first+done] = int(part[0])
			copy(split.Images[(first+done)*cifarImage:], part[1:cifarRecord])
			done++
		}
	}
	return nil
}

// unexpected turns the end of a file into an unexpected one, for a place where more had to come.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

package data

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const fewRecords = 20 // records in each of the generated files

// cifarContent returns the content of a file of records whose labels and pixels tell where they are from.
func cifarContent(file int) []byte {
	b := make([]byte, 0, fewRecords*cifarRecord)
	for i := range fewRecords {
		b = append(b, byte(i%10))
		for v := range cifarImage {
			b = append(b, byte(file*31+i*7+v))
		}
	}
	return b
}

func cifarContents() map[string][]byte {
	files := map[string][]byte{}
	for i, name := range cifarFiles {
		files[name] = cifarContent(i)
	}
	return files
}

func writeFiles(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// writeArchive packs files in the order of the published archive, test images between the training ones.
func writeArchive(t *testing.T, name string, files map[string][]byte) {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	add := func(h *tar.Header, content []byte) {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	add(&tar.Header{Name: cifarFolder + "/", Typeflag: tar.TypeDir, Mode: 0o755}, nil)
	for _, f := range []string{"data_batch_4.bin", "data_batch_1.bin", "batches.meta.txt", "test_batch.bin", "data_batch_3.bin", "data_batch_2.bin", "data_batch_5.bin"} {
		if content, ok := files[f]; ok || f == "batches.meta.txt" {
			add(&tar.Header{Name: cifarFolder + "/" + f, Mode: 0o644, Size: int64(len(content))}, content)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func wantCIFAR(t *testing.T, d *Dataset) {
	t.Helper()
	if d.Train.Len() != 5*fewRecords || d.Test.Len() != fewRecords {
		t.Fatalf("%d + %d images", d.Train.Len(), d.Test.Len())
	}
	for file := range cifarFiles {
		split, first := d.Train, file*fewRecords
		if file == 5 {
			split, first = d.Test, 0
		}
		want := cifarContent(file)
		for i := range fewRecords {
			record := want[i*cifarRecord : (i+1)*cifarRecord]
			if split.Labels[first+i] != int(record[0]) || !bytes.Equal(d.Image(split, first+i), record[1:]) {
				t.Fatalf("record %d of file %d was read wrongly", i, file)
			}
		}
	}
}

// The set is found in each of its places.
func TestCIFAR10Places(t *testing.T) {
	read := cifarReader{records: fewRecords}
	for name, place := range map[string]func(dir string){
		"files in the folder": func(dir string) { writeFiles(t, dir, cifarContents()) },
		"files in the subfolder": func(dir string) {
			writeFiles(t, filepath.Join(dir, cifarFolder), cifarContents())
		},
		"archive": func(dir string) { writeArchive(t, filepath.Join(dir, CIFAR10Archive), cifarContents()) },
		"archive beside an incomplete folder": func(dir string) {
			files := cifarContents()
			delete(files, "data_batch_2.bin")
			writeFiles(t, filepath.Join(dir, cifarFolder), files)
			writeArchive(t, filepath.Join(dir, CIFAR10Archive), cifarContents())
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			place(dir)
			d, err := read.open(context.Background(), dir)
			if err != nil {
				t.Fatal(err)
			}
			wantCIFAR(t, d)
		})
	}
	t.Run("archive by its own path", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "other-name.tar.gz")
		writeArchive(t, name, cifarContents())
		d, err := read.open(context.Background(), name)
		if err != nil {
			t.Fatal(err)
		}
		wantCIFAR(t, d)
	})
}

func TestCIFAR10Missing(t *testing.T) {
	dir := t.TempDir()
	_, err := Open(context.Background(), "cifar10", dir, Options{})
	var missing *MissingError
	if !errors.As(err, &missing) {
		t.Fatalf("error %v, want a MissingError", err)
	}
	wantMessage(t, err, "data_batch_1.bin", "test_batch.bin in "+dir, filepath.Join(dir, cifarFolder), filepath.Join(dir, CIFAR10Archive),
		"`swath data fetch cifar10` downloads it", "--data DIR")

	if err := os.WriteFile(filepath.Join(dir, CIFAR10Archive+".part"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = Open(context.Background(), "cifar10", dir, Options{})
	wantMessage(t, err, "unfinished download", "goes on with it")

	_, err = Open(context.Background(), "cifar10", "", Options{})
	wantMessage(t, err, "no data folder was given", "--data DIR")
}

func TestCIFAR10Broken(t *testing.T) {
	const full = fewRecords * cifarRecord // 61,460
	read := cifarReader{records: fewRecords}
	for name, c := range map[string]struct {
		spoil func(files map[string][]byte)
		want  []string
	}{
		"file missing": {
			func(f map[string][]byte) { delete(f, "data_batch_3.bin") },
			[]string{"data_batch_3.bin"},
		},
		"truncated": {
			func(f map[string][]byte) { f["data_batch_2.bin"] = f["data_batch_2.bin"][:full-1] },
			[]string{"data_batch_2.bin has 61,459 bytes, want 61,460 (20 records of 3,073)", "swath data fetch cifar10"},
		},
		"too long": {
			func(f map[string][]byte) { f["test_batch.bin"] = append(f["test_batch.bin"], 0) },
			[]string{"test_batch.bin has 61,461 bytes, want 61,460"},
		},
		"empty": {
			func(f map[string][]byte) { f["data_batch_1.bin"] = nil },
			[]string{"data_batch_1.bin has 0 bytes"},
		},
		"wrong label": {
			func(f map[string][]byte) { f["data_batch_5.bin"][7*cifarRecord] = 10 },
			[]string{"data_batch_5.bin: record 7 has label 10, want 0 to 9"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			files := cifarContents()
			c.spoil(files)
			dir := t.TempDir()
			writeFiles(t, dir, files)
			_, err := read.open(context.Background(), dir)
			wantMessage(t, err, append(c.want, dir)...)

			archive := filepath.Join(t.TempDir(), CIFAR10Archive)
			writeArchive(t, archive, files)
			_, err = read.open(context.Background(), archive)
			wantMessage(t, err, append(c.want, archive)...)
		})
	}
}

func TestCIFAR10ArchiveBroken(t *testing.T) {
	read := cifarReader{records: fewRecords}
	dir := t.TempDir()
	archive := filepath.Join(dir, CIFAR10Archive)
	writeArchive(t, archive, cifarContents())
	whole, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(whole)
	flipped[len(flipped)-6] ^= 1 // in the checksum
	for name, content := range map[string][]byte{
		"half":                   whole[:len(whole)/2],
		"without its last bytes": whole[:len(whole)-3],
		"empty":                  {},
		"no archive":             []byte("<html>not found</html>"),
		"wrong checksum":         flipped,
	} {
		if err := os.WriteFile(archive, content, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := read.open(context.Background(), dir)
		if err == nil {
			t.Errorf("%s: opened", name)
			continue
		}
		wantMessage(t, err, archive, "truncated or damaged", "bytes", "swath data fetch cifar10")
	}
}

func TestCIFAR10Cancelled(t *testing.T) {
	dir := t.TempDir()
	writeArchive(t, filepath.Join(dir, CIFAR10Archive), cifarContents())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := (cifarReader{records: fewRecords}).open(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

// TestCIFAR10Real reads the whole set, where it is at hand, and holds it to its known statistics.
func TestCIFAR10Real(t *testing.T) {
	d, err := Open(context.Background(), "cifar10", realData(t, "cifar10"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d.Train.Len() != 50_000 || d.Test.Len() != 10_000 {
		t.Errorf("%d + %d images, want 50000 + 10000", d.Train.Len(), d.Test.Len())
	}
	for _, s := range []struct {
		Split
		each int
	}{{d.Train, 5000}, {d.Test, 1000}} {
		counts := make([]int, 10)
		for _, l := range s.Labels {
			counts[l]++
		}
		if want := slices.Repeat([]int{s.each}, 10); !slices.Equal(counts, want) {
			t.Errorf("images of each class: %v, want %d", counts, s.each)
		}
	}
	mean, std := []float64{.49139968, .48215841, .44653091}, []float64{.24703223, .24348513, .26158784}
	for c := range 3 {
		if math.Abs(d.Mean[c]-mean[c]) > 1e-8 || math.Abs(d.Std[c]-std[c]) > 1e-8 {
			t.Errorf("channel %d: mean %.8f, std %.8f, want %.8f and %.8f", c, d.Mean[c], d.Std[c], mean[c], std[c])
		}
	}
}

// realData returns the folder that holds a real set: SWATH_DATA, or shared/data beside one of the folders above.
func realData(t *testing.T, set string) string {
	t.Helper()
	var tried []string
	if dir := os.Getenv("SWATH_DATA"); dir != "" {
		tried = append(tried, dir)
	} else if at, err := os.Getwd(); err == nil {
		for parent := filepath.Dir(at); parent != at; at, parent = parent, filepath.Dir(parent) {
			tried = append(tried, filepath.Join(parent, "shared", "data"))
		}
	}
	for _, dir := range tried {
		entries, err := List(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if e.Name == set && e.Present {
				return dir
			}
		}
	}
	t.Skipf("no %s in %s: set SWATH_DATA to the folder that holds it", set, strings.Join(tried, ", "))
	return ""
}

func wantMessage(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q lacks %q", err, p)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q has several lines", err)
	}
}

// FuzzCIFAR10 feeds files of any content: the reader takes them or gives an error, and what it takes is valid.
func FuzzCIFAR10(f *testing.F) {
	good := cifarContent(0)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(append(bytes.Clone(good), 1))
	f.Add([]byte{})
	bad := bytes.Clone(good)
	bad[cifarRecord] = 200
	f.Add(bad)
	f.Fuzz(func(t *testing.T, b []byte) {
		d := &Dataset{
			Name: "cifar10", Classes: cifarClasses, Channels: 3, Height: 32, Width: 32,
			Train: Split{make([]uint8, fewRecords*cifarImage), make([]int, fewRecords)},
			Test:  Split{make([]uint8, fewRecords*cifarImage), make([]int, fewRecords)},
		}
		read := cifarReader{records: fewRecords}
		err := read.readRecords(context.Background(), bytes.NewReader(b), "file", int64(len(b)), d, 0)
		if err == nil && len(b) != fewRecords*cifarRecord {
			t.Fatalf("%d bytes were taken for %d records", len(b), fewRecords)
		}
		if err == nil && d.check() != nil {
			t.Fatal(d.check())
		}
		// A file that is shorter than its name's entry says.
		if len(b) < fewRecords*cifarRecord && read.readRecords(context.Background(), bytes.NewReader(b), "file", fewRecords*cifarRecord, d, 0) == nil {
			t.Fatalf("%d bytes were taken for %d records", len(b), fewRecords)
		}
	})
}

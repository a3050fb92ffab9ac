package data

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"math"
	"path/filepath"
	"testing"
)

// idx builds an idx file of bytes.
func idx(dims []int, content []byte) []byte {
	b := []byte{0, 0, idxBytes, byte(len(dims))}
	for _, d := range dims {
		b = binary.BigEndian.AppendUint32(b, uint32(d))
	}
	return append(b, content...)
}

func counting(n, modulus int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % modulus)
	}
	return b
}

func fashionContents() map[string][]byte {
	return map[string][]byte{
		fashionFiles[0]: idx([]int{30, 4, 5}, counting(30*4*5, 251)),
		fashionFiles[1]: idx([]int{30}, counting(30, 10)),
		fashionFiles[2]: idx([]int{10, 4, 5}, counting(10*4*5, 13)),
		fashionFiles[3]: idx([]int{10}, counting(10, 10)),
	}
}

func gzipped(t *testing.T, files map[string][]byte) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for name, content := range files {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		out[name+".gz"] = b.Bytes()
	}
	return out
}

func TestFashionMNIST(t *testing.T) {
	for name, files := range map[string]map[string][]byte{"plain": fashionContents(), "gzipped": gzipped(t, fashionContents())} {
		for _, folder := range []string{"", FashionMNISTFolder} {
			dir := t.TempDir()
			writeFiles(t, filepath.Join(dir, folder), files)
			d, err := Open(context.Background(), "fashion-mnist", dir, Options{})
			if err != nil {
				t.Fatalf("%s in %q: %v", name, folder, err)
			}
			if d.Channels != 1 || d.Height != 4 || d.Width != 5 || d.Train.Len() != 30 || d.Test.Len() != 10 {
				t.Errorf("%d x %d x %d, %d + %d images", d.Channels, d.Height, d.Width, d.Train.Len(), d.Test.Len())
			}
			if !bytes.Equal(d.Train.Images, counting(600, 251)) || d.Train.Labels[13] != 3 || !bytes.Equal(d.Test.Images, counting(200, 13)) {
				t.Error("the images or labels differ from those in the files")
			}
		}
	}
}

func TestFashionMNISTBroken(t *testing.T) {
	for name, c := range map[string]struct {
		file    string
		content []byte
		want    string
	}{
		"truncated":        {fashionFiles[0], fashionContents()[fashionFiles[0]][:500], "holds 484 bytes of data, its header says 600"},
		"too long":         {fashionFiles[1], append(fashionContents()[fashionFiles[1]], 1), "more than the 30 bytes"},
		"label":            {fashionFiles[1], idx([]int{30}, counting(30, 11)), "label of training image 10 is 10, outside its 10 classes"},
		"fewer labels":     {fashionFiles[3], idx([]int{9}, counting(9, 10)), "10 images"},
		"other size":       {fashionFiles[2], idx([]int{10, 5, 4}, counting(200, 13)), "images of 5x4"},
		"dimensions":       {fashionFiles[1], idx([]int{30, 1}, counting(30, 10)), "has 2 dimensions, want 1"},
		"type":             {fashionFiles[1], []byte{0, 0, 0x0d, 1, 0, 0, 0, 1, 0, 0, 0, 0}, "type 0x0d, want unsigned bytes"},
		"no idx":           {fashionFiles[1], []byte("<html>not found"), "3c 68 74 6d"},
		"header too short": {fashionFiles[0], []byte{0, 0, 8, 3, 0, 0}, "header ends before dimension 1 of 3"},
		"empty":            {fashionFiles[0], nil, "header ends after 0 of 4 bytes"},
		"absurd size":      {fashionFiles[0], []byte{0, 0, 8, 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, "no array of sensible size"},
	} {
		files := fashionContents()
		files[c.file] = c.content
		for _, zip := range []bool{false, true} {
			dir := t.TempDir()
			written := maps.Clone(files)
			if zip {
				written = gzipped(t, files)
			}
			writeFiles(t, dir, written)
			_, err := Open(context.Background(), "fashion-mnist", dir, Options{})
			if err == nil {
				t.Fatalf("%s: opened", name)
			}
			wantMessage(t, err, c.want, dir)
		}
	}

	dir := t.TempDir()
	files := gzipped(t, fashionContents())
	files[fashionFiles[0]+".gz"] = files[fashionFiles[0]+".gz"][:100]
	writeFiles(t, dir, files)
	_, err := Open(context.Background(), "fashion-mnist", dir, Options{})
	wantMessage(t, err, fashionFiles[0]+".gz", "truncated")
}

func TestFashionMNISTMissing(t *testing.T) {
	dir := t.TempDir()
	files := fashionContents()
	delete(files, fashionFiles[3])
	writeFiles(t, dir, files)
	_, err := Open(context.Background(), "fashion-mnist", dir, Options{})
	var missing *MissingError
	if !errors.As(err, &missing) {
		t.Fatalf("error %v, want a MissingError", err)
	}
	wantMessage(t, err, fashionFiles[3], dir, "`swath data fetch fashion-mnist` downloads it")
}

// TestFashionMNISTReal reads the whole set, where it is at hand.
func TestFashionMNISTReal(t *testing.T) {
	d, err := Open(context.Background(), "fashion-mnist", realData(t, "fashion-mnist"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d.Train.Len() != 60_000 || d.Test.Len() != 10_000 || d.Height != 28 || d.Width != 28 {
		t.Errorf("%d + %d images of %dx%d", d.Train.Len(), d.Test.Len(), d.Height, d.Width)
	}
	if math.Abs(d.Mean[0]-0.2860) > 1e-4 || math.Abs(d.Std[0]-0.3530) > 1e-4 { // as widely published
		t.Errorf("mean %.4f, std %.4f, want 0.2860 and 0.3530", d.Mean[0], d.Std[0])
	}
}

// FuzzIDX feeds any bytes: an array or an error, and no memory on a header's word alone.
func FuzzIDX(f *testing.F) {
	for _, b := range fashionContents() {
		f.Add(b, 1)
		f.Add(b, 3)
	}
	f.Add([]byte{0, 0, 8, 3, 0x7f, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1}, 3)
	f.Fuzz(func(t *testing.T, b []byte, dims int) {
		dims = 1 + dims&3
		a, err := readIDX(bytes.NewReader(b), dims)
		if err != nil {
			if errors.Is(err, io.EOF) {
				t.Fatalf("an end that was not expected is reported as expected: %v", err)
			}
			return
		}
		n := 1
		for _, d := range a.dims {
			n *= d
		}
		if len(a.dims) != dims || len(a.data) != n || !bytes.Equal(b, idx(a.dims, a.data)) {
			t.Fatalf("%d bytes gave dimensions %v and %d elements", len(b), a.dims, len(a.data))
		}
	})
}

// Package paritytest compares trainers with PyTorch. It is imported by tests only.
//
// Vocabulary. A golden file holds the first weights and the batches of a short training
// and what PyTorch computed from them: the loss and every gradient of each step, and the
// last weights. The parity_*.py programs in bench/torch make the files, so that the tests
// need no Python. A tensor's difference is the larger of two relative errors: that of the
// greatest element, and that of the root of the mean square.
//
// Rules. PyTorch computes in double precision, so the whole difference is ours. An error
// is measured against the tensor, not element by element, because an element that is
// the small difference of large numbers has no digits to compare in float32.
package paritytest

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
)

// Tolerance is the greatest difference that a tensor may have.
const Tolerance = 1e-4

// File is a golden file.
type File struct {
	Params map[string]any // of the trial, as a sweep file has them
	Steps  int            // counted from 1

	path    string
	names   []string
	tensors map[string][]float32
	worst   map[string]difference // by what was compared
}

// Read reads a golden file; the test ends if it cannot. At its end the test logs the
// greatest differences.
func Read(t testing.TB, path string) *File {
	t.Helper()
	f, err := read(path)
	if err != nil {
		t.Fatalf("reading the golden file %s: %v (bench/torch/README.md tells how to make it anew)", path, err)
	}
	t.Cleanup(func() {
		for _, what := range slices.Sorted(maps.Keys(f.worst)) {
			d := f.worst[what]
			t.Logf("greatest difference of %s: %.1e (%s)", what, d.size, d.name)
		}
	})
	return f
}

func read(path string) (*File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // opened for reading: closing loses nothing
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	r := bufio.NewReader(unpacked)
	line, err := r.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("reading the header: %w", err)
	}
	var header struct {
		Params  map[string]any
		Steps   int
		Tensors []struct {
			Name  string
			Shape []int
		}
	}
	if err := json.Unmarshal(line, &header); err != nil {
		return nil, fmt.Errorf("reading the header: %w", err)
	}
	f := &File{Params: header.Params, Steps: header.Steps, path: path, tensors: map[string][]float32{}, worst: map[string]difference{}}
	for _, h := range header.Tensors {
		n := 1
		for _, d := range h.Shape {
			n *= d
		}
		data := make([]float32, n)
		if err := binary.Read(r, binary.LittleEndian, data); err != nil {
			return nil, fmt.Errorf("reading tensor %s: %w", h.Name, err)
		}
		f.names = append(f.names, h.Name)
		f.tensors[h.Name] = data
	}
	switch _, err := r.ReadByte(); {
	case err == nil:
		return nil, errors.New("it goes on after the last tensor")
	case !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("reading to the end: %w", err)
	}
	return f, nil
}

// Names returns the names of the tensors in the folder prefix, without it, in the order of the file.
func (f *File) Names(prefix string) []string {
	var names []string
	for _, name := range f.names {
		if rest, ok := strings.CutPrefix(name, prefix+"/"); ok {
			names = append(names, rest)
		}
	}
	return names
}

// Has reports whether there is a tensor of that name.
func (f *File) Has(name string) bool {
	_, ok := f.tensors[name]
	return ok
}

// Tensor returns the elements of a tensor; the test ends if there is no such.
func (f *File) Tensor(t testing.TB, name string) []float32 {
	t.Helper()
	data, ok := f.tensors[name]
	if !ok {
		t.Fatalf("%s has no tensor %s", f.path, name)
	}
	return data
}

// Fill copies a tensor into dst, which must be of its length.
func (f *File) Fill(t testing.TB, dst []float32, name string) {
	t.Helper()
	data := f.Tensor(t, name)
	if len(dst) != len(data) {
		t.Fatalf("%s: %s has %d elements, the model %d", f.path, name, len(data), len(dst))
	}
	copy(dst, data)
}

// Compare reports a difference above the tolerance between what was computed and the
// named tensor. what is the kind of tensor, for the summary: "loss", "gradients".
func (f *File) Compare(t testing.TB, what, name string, got []float32) {
	t.Helper()
	want := f.Tensor(t, name)
	if len(got) != len(want) {
		t.Errorf("%s has %d elements, want %d", name, len(got), len(want))
		return
	}
	d := Difference(got, want)
	if d > f.worst[what].size || f.worst[what].name == "" {
		f.worst[what] = difference{name, d}
	}
	if d > Tolerance {
		t.Errorf("%s differs from PyTorch's by %.1e of its size, more than %.0e", name, d, Tolerance)
	}
}

// CompareScalar is Compare of a single number.
func (f *File) CompareScalar(t testing.TB, what, name string, got float64) {
	t.Helper()
	f.Compare(t, what, name, []float32{float32(got)})
}

// CompareNames reports names that only one of two lists has.
func CompareNames(t testing.TB, what string, got, want []string) {
	t.Helper()
	for _, name := range got {
		if !slices.Contains(want, name) {
			t.Errorf("%s: PyTorch's model has no %s", what, name)
		}
	}
	for _, name := range want {
		if !slices.Contains(got, name) {
			t.Errorf("%s: the model has no %s", what, name)
		}
	}
}

// difference is how far the named tensor is off.
type difference struct {
	name string
	size float64
}

// Difference returns how far got is from want: the larger of |got-want|/|want| in the
// maximum norm and in the Euclidean norm. Where want is all zero it is 0 or infinite.
func Difference(got, want []float32) float64 {
	var maxDiff, maxWant, sumDiff, sumWant float64
	for i, w := range want {
		d := math.Abs(float64(got[i]) - float64(w))
		if math.IsNaN(d) {
			return math.Inf(1)
		}
		maxDiff, maxWant = max(maxDiff, d), max(maxWant, math.Abs(float64(w)))
		sumDiff, sumWant = sumDiff+d*d, sumWant+float64(w)*float64(w)
	}
	if maxDiff == 0 {
		return 0
	}
	return max(maxDiff/maxWant, math.Sqrt(sumDiff/sumWant))
}

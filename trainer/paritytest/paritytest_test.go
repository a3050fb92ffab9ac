package paritytest

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// write writes a golden file of the given content.
func write(t *testing.T, header string, data ...float32) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(header + "\n")); err != nil {
		t.Fatal(err)
	}
	if err := binary.Write(w, binary.LittleEndian, data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "golden.gz")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const header = `{"params":{"heads":3},"steps":2,"tensors":[{"name":"1/a","shape":[2]},{"name":"1/loss","shape":[]}]}`

func TestRead(t *testing.T) {
	f := Read(t, write(t, header, 1, 2, 3))
	if f.Steps != 2 || f.Params["heads"] != 3.0 {
		t.Errorf("header is %d steps, %v", f.Steps, f.Params)
	}
	if got := f.Names("1"); !slices.Equal(got, []string{"a", "loss"}) {
		t.Errorf("names are %v", got)
	}
	if got := f.Tensor(t, "1/a"); !slices.Equal(got, []float32{1, 2}) {
		t.Errorf("tensor is %v", got)
	}
	if got := f.Tensor(t, "1/loss"); !slices.Equal(got, []float32{3}) {
		t.Errorf("scalar is %v", got)
	}
}

func TestReadRefusesBrokenFiles(t *testing.T) {
	for name, path := range map[string]string{
		"truncated": write(t, header, 1, 2), "too long": write(t, header, 1, 2, 3, 4), "no header": write(t, "{", 1), "not there": "none",
	} {
		if _, err := read(path); err == nil {
			t.Errorf("a file that is %s was read", name)
		}
	}
}

func TestDifference(t *testing.T) {
	nan, inf := float32(math.NaN()), math.Inf(1)
	for _, test := range []struct {
		got, want []float32
		d         float64
	}{
		{[]float32{1, 2}, []float32{1, 2}, 0},
		{[]float32{3, 4.5}, []float32{3, 4}, 0.125},       // 0.5/4 > 0.5/5
		{[]float32{2, 2, 2, 2}, []float32{1, 1, 1, 1}, 1}, // both norms
		{[]float32{0, 0}, []float32{0, 0}, 0},             // nothing is right
		{[]float32{1e-9, 0}, []float32{0, 0}, inf},        // anything is wrong
		{[]float32{nan, 0}, []float32{1, 0}, inf},
	} {
		if got := Difference(test.got, test.want); got != test.d {
			t.Errorf("difference of %v from %v is %v, want %v", test.got, test.want, got, test.d)
		}
	}
}

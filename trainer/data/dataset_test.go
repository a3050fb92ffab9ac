package data

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

// toy is a set of 2x2 images of two channels whose pixels tell where they are from.
func toy(train, test, classes int) *Dataset {
	d := &Dataset{Name: "toy", Channels: 2, Height: 2, Width: 2}
	for c := range classes {
		d.Classes = append(d.Classes, string(rune('a'+c)))
	}
	fill := func(n int) (s Split) {
		for i := range n {
			for v := range d.ImageLen() {
				s.Images = append(s.Images, uint8(i*d.ImageLen()+v))
			}
			s.Labels = append(s.Labels, i*i%classes) // unevenly spread
		}
		return s
	}
	d.Train, d.Test = fill(train), fill(test)
	d.measure()
	return d
}

func TestBatchNormalises(t *testing.T) {
	d := toy(20, 10, 3)
	idx := []int{3, 0, 3}
	dst := make([]float32, len(idx)*d.ImageLen())
	if err := d.Batch(dst, d.Train, idx); err != nil {
		t.Fatal(err)
	}
	for k, i := range idx {
		for v := range d.ImageLen() {
			c := v / 4
			want := (float64(uint8(i*8+v))/255 - d.Mean[c]) / d.Std[c]
			if got := float64(dst[k*8+v]); math.Abs(got-want) > 1e-6 {
				t.Errorf("image %d, value %d: %g, want %g", i, v, got, want)
			}
		}
	}
	labels := make([]int, len(idx))
	if err := d.BatchLabels(labels, d.Train, idx); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(labels, []int{0, 0, 0}) {
		t.Errorf("labels %v", labels)
	}
}

func TestBatchRefuses(t *testing.T) {
	d := toy(20, 10, 3)
	for _, c := range []struct {
		values int
		idx    []int
		want   string
	}{
		{7, []int{0}, "needs 8 values, the destination has 7"},
		{8, []int{20}, "image 20 is outside the split of 20"},
		{8, []int{-1}, "image -1 is outside"},
	} {
		err := d.Batch(make([]float32, c.values), d.Train, c.idx)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: error %v, want %q", c.idx, err, c.want)
		}
	}
	if d.BatchLabels(make([]int, 1), d.Train, []int{20}) == nil || d.BatchLabels(nil, d.Train, []int{1}) == nil {
		t.Error("labels outside the split, or of another number, were handed out")
	}
}

func TestBatchOfConstantChannel(t *testing.T) {
	d := toy(4, 4, 2)
	for i := range d.Train.Images {
		d.Train.Images[i] = 7
	}
	d.measure()
	dst := make([]float32, 8)
	if err := d.Batch(dst, d.Train, []int{0}); err != nil {
		t.Fatal(err)
	}
	for _, v := range dst {
		if math.Abs(float64(v)) > 1e-6 {
			t.Fatalf("a constant channel became %v, want 0", dst)
		}
	}
}

func TestMeasure(t *testing.T) {
	d := toy(20, 10, 3)
	for c := range 2 {
		var sum, square, n float64
		for i := range d.Train.Len() {
			for _, v := range d.Image(d.Train, i)[c*4 : c*4+4] {
				sum += float64(v) / 255
				square += float64(v) / 255 * float64(v) / 255
				n++
			}
		}
		mean := sum / n
		std := math.Sqrt(square/n - mean*mean)
		if math.Abs(d.Mean[c]-mean) > 1e-12 || math.Abs(d.Std[c]-std) > 1e-12 {
			t.Errorf("channel %d: mean %g, std %g, want %g and %g", c, d.Mean[c], d.Std[c], mean, std)
		}
	}
}

func TestSubset(t *testing.T) {
	d := toy(30, 12, 3) // squares modulo 3: ten of class 0, twenty of class 1, none of class 2
	small, err := d.Subset(9, 0, 5)
	if err != nil {
		t.Fatal(err)
	}
	if want := []int{0, 1, 0, 1, 0, 1, 0, 1, 0}; !slices.Equal(small.Train.Labels, want) {
		t.Errorf("labels %v, want %v", small.Train.Labels, want)
	}
	if small.Test.Len() != 12 || !slices.Equal(small.Mean, d.Mean) {
		t.Errorf("the subset has %d test images and mean %v, want 12 and %v", small.Test.Len(), small.Mean, d.Mean)
	}
	large, err := d.Subset(25, 3, 5)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(large.Train.Images[:len(small.Train.Images)], small.Train.Images) {
		t.Error("the smaller subset is not the beginning of the larger one")
	}
	if large.Train.Len() != 25 || large.Test.Len() != 3 {
		t.Errorf("%d and %d images, want 25 and 3", large.Train.Len(), large.Test.Len())
	}
	seen := map[uint8]bool{}
	for i := range large.Train.Len() {
		first := large.Image(large.Train, i)[0]
		if seen[first] {
			t.Fatalf("image %d was taken twice", first/8)
		}
		seen[first] = true
		if want := int(first/8) * int(first/8) % 3; large.Train.Labels[i] != want {
			t.Errorf("image %d has label %d, want %d", first/8, large.Train.Labels[i], want)
		}
	}
	other, err := d.Subset(9, 0, 6)
	if err != nil {
		t.Fatal(err)
	}
	if slices.Equal(other.Train.Images, small.Train.Images) {
		t.Error("another seed takes the same images")
	}
	for _, n := range []int{-1, 31} {
		var request *RequestError
		if _, err := d.Subset(n, 0, 5); !errors.As(err, &request) || request.Option != "Train" || !strings.Contains(err.Error(), "has 30 training images") {
			t.Errorf("subset of %d of 30: error %v", n, err)
		}
	}
}

// Stored class by class, as an image folder is, a split gives images of every class; of one class it gives the first.
func TestSpread(t *testing.T) {
	d := &Dataset{Classes: []string{"cat", "dog", "wolf"}}
	sorted := Split{Labels: []int{0, 0, 0, 0, 1, 1, 2, 2, 2, 2}}
	for n, want := range map[int][]int{
		0: {}, 2: {0, 4}, 6: {0, 4, 6, 1, 5, 7}, 8: {0, 4, 6, 1, 5, 7, 2, 8}, 10: {0, 1, 2, 3, 4, 5, 6, 7, 8, 9},
	} {
		if got := d.Spread(sorted, n); !slices.Equal(got, want) {
			t.Errorf("%d of ten are %v, want %v", n, got, want)
		}
	}
	if got := d.Spread(Split{Labels: []int{1, 1, 1, 1}}, 3); !slices.Equal(got, []int{0, 1, 2}) {
		t.Errorf("three of one class are %v", got)
	}
}

func TestOrder(t *testing.T) {
	a, b := Order(1000, 7, 3), Order(1000, 7, 3)
	if !slices.Equal(a, b) {
		t.Error("the same seed and epoch give two orders")
	}
	for _, other := range [][]int{Order(1000, 7, 4), Order(1000, 8, 3), Order(1000, 3, 7)} {
		same := 0
		for i := range other {
			if other[i] == a[i] {
				same++
			}
		}
		if same > 10 { // 1 is expected of unrelated permutations
			t.Errorf("%d of 1000 places agree between two orders", same)
		}
	}
	slices.Sort(a)
	for i, v := range a {
		if v != i {
			t.Fatalf("no permutation: %d at %d", v, i)
		}
	}
	// Golden: resumed runs rely on it from release to release.
	if got, want := Order(8, 1, 0), []int{0, 2, 4, 3, 6, 7, 5, 1}; !slices.Equal(got, want) {
		t.Errorf("Order(8, 1, 0) = %v, want %v", got, want)
	}
	if len(Order(0, 1, 1)) != 0 {
		t.Error("an order of nothing is not empty")
	}
}

func TestCheckFindsBrokenSets(t *testing.T) {
	for want, spoil := range map[string]func(*Dataset){
		"no training images": func(d *Dataset) { d.Train = Split{} },
		"no test images":     func(d *Dataset) { d.Test = Split{} },
		"outside its 3":      func(d *Dataset) { d.Test.Labels[2] = 3 },
		"bytes of training":  func(d *Dataset) { d.Train.Images = d.Train.Images[1:] },
	} {
		d := toy(20, 10, 3)
		spoil(d)
		if err := d.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

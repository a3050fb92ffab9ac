package data

import "fmt"

// Subset returns a set with the given numbers of training and test images, taken from d evenly over the classes; 0
// means all of a split. Shape, classes, Mean and Std stay those of d.
//
// Which images are taken depends on the seed alone, and a smaller subset is the beginning of a larger one: image k
// is of class k modulo the number of classes, as long as every class has images left. Only a whole split stays in
// its stored order, and is not copied. It fails where d has fewer images than asked for.
func (d *Dataset) Subset(train, test int, seed uint64) (*Dataset, error) {
	out := *d
	var err error
	if out.Train, err = d.subset(d.Train, "training", train, seed, 0); err != nil {
		return nil, err
	}
	if out.Test, err = d.subset(d.Test, "test", test, seed, 1); err != nil {
		return nil, err
	}
	return &out, nil
}

func (d *Dataset) subset(s Split, kind string, n int, seed, split uint64) (Split, error) {
	switch {
	case n < 0 || n > s.Len():
		return Split{}, fmt.Errorf("subset of %s: asked for %d %s images, the set has %d; ask for 1 to %d, or 0 for all", d.Name, n, kind, s.Len(), s.Len())
	case n == 0 || n == s.Len():
		return s, nil
	}
	size := d.ImageLen()
	out := Split{Images: make([]uint8, 0, n*size), Labels: make([]int, 0, n)}
	for _, i := range pick(s.Labels, len(d.Classes), n, seed, split) {
		out.Images = append(out.Images, d.Image(s, i)...)
		out.Labels = append(out.Labels, s.Labels[i])
	}
	return out, nil
}

// Spread returns the indices of n images of a split of this set, evenly over the classes: one of each class in turn,
// each class in its stored order, classes that have run out left out. A whole split stays in its stored order. n is
// in [0, s.Len()].
func (d *Dataset) Spread(s Split, n int) []int {
	if n == s.Len() {
		idx := make([]int, n)
		for i := range idx {
			idx[i] = i
		}
		return idx
	}
	return inTurn(byClass(s.Labels, len(d.Classes)), n)
}

// pick returns the indices of n images of those with the given labels: one of each class in turn, each class in an
// order of its own that depends on the seed and the split, classes that have run out left out. n is at most
// len(labels).
func pick(labels []int, classes, n int, seed, split uint64) []int {
	members := byClass(labels, classes)
	for class, m := range members {
		newStream(purposeSubset, seed, split, uint64(class)).shuffle(m)
	}
	return inTurn(members, n)
}

// byClass returns, for each class, the indices of its images in their order.
func byClass(labels []int, classes int) [][]int {
	members := make([][]int, classes)
	for i, l := range labels {
		members[l] = append(members[l], i)
	}
	return members
}

// inTurn takes n indices, one of each class in turn.
func inTurn(members [][]int, n int) []int {
	picked := make([]int, 0, n)
	for round := 0; len(picked) < n; round++ {
		for _, m := range members {
			if round < len(m) && len(picked) < n {
				picked = append(picked, m[round])
			}
		}
	}
	return picked
}

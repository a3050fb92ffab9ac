package data

import "slices"

// Subset returns a set with the given numbers of training and test images, taken from d evenly over the classes; 0
// means all of a split. Shape, classes, Mean and Std stay those of d.
//
// Which images are taken depends on the seed alone, and a smaller subset is the beginning of a larger one: image k
// is of class k modulo the number of classes, as long as every class has images left. Only a whole split stays in
// its stored order, and is not copied. Where d has fewer images than asked for, the error is a [*RequestError].
func (d *Dataset) Subset(train, test int, seed uint64) (*Dataset, error) {
	out := *d
	var err error
	if out.Train, err = d.subset(d.Train, trainImages, train, seed, 0); err != nil {
		return nil, err
	}
	if out.Test, err = d.subset(d.Test, testImages, test, seed, 1); err != nil {
		return nil, err
	}
	return &out, nil
}

func (d *Dataset) subset(s Split, k kind, n int, seed, split uint64) (Split, error) {
	switch {
	case n < 0 || n > s.Len():
		return Split{}, tooFew(d.Name, k, d.class, n, s.Len())
	case n == 0 || n == s.Len():
		return s, nil
	}
	return d.take(s, pick(s.Labels, len(d.Classes), n, seed, split)), nil
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

// only returns the set cut down to the images of a class. Classes and labels stay those of d; the test split may be
// empty then. Where d has no such class, the error is a [*RequestError].
func (d *Dataset) only(class string) (*Dataset, error) {
	label := slices.Index(d.Classes, class)
	if label < 0 {
		return nil, noClass(d.Name, d.Classes, class)
	}
	out := *d
	out.class = class
	for _, part := range []struct {
		from Split
		to   *Split
	}{{d.Train, &out.Train}, {d.Test, &out.Test}} {
		members := byClass(part.from.Labels, len(d.Classes))[label]
		*part.to = d.take(part.from, members)
	}
	return &out, nil
}

// take returns the images idx of a split.
func (d *Dataset) take(s Split, idx []int) Split {
	out := Split{Images: make([]uint8, 0, len(idx)*d.ImageLen()), Labels: make([]int, 0, len(idx))}
	for _, i := range idx {
		out.Images = append(out.Images, d.Image(s, i)...)
		out.Labels = append(out.Labels, s.Labels[i])
	}
	return out
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

package data

import "slices"

// Set is what is known of a data set without its images being read.
type Set struct {
	Name     string
	Channels int
	// MinSize and MaxSize bound the height and width that images can be had in.
	MinSize, MaxSize int
	// Classes is nil where nothing is known of what the set holds: of an image folder that has not been looked into.
	Classes []string
	// Train and Test are the numbers of images of each class; of shapes, which can be drawn in any number, where no
	// others are asked for.
	Train, Test []int

	drawn bool // to order: it has any number of images, and no files
}

// Known returns what is known of the set called name without any file. The error is that about the name that [Open]
// would give.
func Known(name string) (Set, error) {
	set, _, err := resolve(name, "")
	switch {
	case err != nil:
		return Set{}, err
	case set == nil:
		return Set{Name: name, Channels: folderChannels, MinSize: 1, MaxSize: maxSize}, nil
	}
	return set.Set, nil
}

// Images returns how many training and test images [Open] would give; 0 where that is not known.
func (s Set) Images(o Options) (train, test int) {
	train, test = s.held(o.Class)
	if o.Train > 0 {
		train = o.Train
	}
	if o.Test > 0 {
		test = o.Test
	}
	return train, test
}

// held returns how many images the set has, of a class unless that is empty.
func (s Set) held(class string) (train, test int) {
	if i := slices.Index(s.Classes, class); i >= 0 {
		return s.Train[i], s.Test[i]
	}
	return sum(s.Train), sum(s.Test)
}

func sum(counts []int) (total int) {
	for _, n := range counts {
		total += n
	}
	return total
}

// Check returns what o asks for and the set does not have, as far as it is known.
func (s Set) Check(o Options) []*RequestError {
	if o.Class != "" && s.Classes != nil && !slices.Contains(s.Classes, o.Class) {
		return []*RequestError{noClass(s.Name, s.Classes, o.Class)}
	}
	var errs []*RequestError
	train, test := s.held(o.Class)
	limited := s.Classes != nil && (!s.drawn || o.Class != "")
	for _, part := range []struct {
		kind        kind
		asked, have int
	}{{trainImages, o.Train, train}, {testImages, o.Test, test}} {
		if part.asked < 0 || limited && part.asked > part.have {
			errs = append(errs, tooFew(s.Name, part.kind, o.Class, part.asked, part.have))
		}
	}
	if o.Size != 0 && (o.Size < s.MinSize || o.Size > s.MaxSize) {
		errs = append(errs, noSize(s.Name, o.Size, s.MinSize, s.MaxSize))
	}
	if len(errs) == 0 {
		train, test = s.Images(o)
		if err := affordable(s.Name, train+test, s.Channels, o.Size); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

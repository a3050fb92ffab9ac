package data

import "slices"

// Set is what is known of a data set without its files.
type Set struct {
	Name     string
	Classes  []string
	Channels int
	// Train and Test are the numbers of images, as published; each class has as many. Shapes, which can be drawn in
	// any number, have these where no others are asked for.
	Train, Test int
	// MinSize and MaxSize bound the height and width that images can be had in.
	MinSize, MaxSize int

	drawn bool // to order: it has any number of images, and no files
}

// Known returns what is known of the set called name, and whether anything is: of image folders nothing.
func Known(name string) (Set, bool) {
	i := slices.IndexFunc(registry, func(k known) bool { return k.Name == name })
	if i < 0 {
		return Set{}, false
	}
	return registry[i].Set, true
}

// TrainImages is the number of training images that [Open] would give.
func (s Set) TrainImages(o Options) int {
	switch {
	case o.Train > 0:
		return o.Train
	case o.Class != "":
		return s.Train / len(s.Classes)
	}
	return s.Train
}

// Check returns what o asks for and the set does not have, as far as that is known without its files.
func (s Set) Check(o Options) []*RequestError {
	train, test, limited := s.Train, s.Test, !s.drawn
	if o.Class != "" {
		if !slices.Contains(s.Classes, o.Class) {
			return []*RequestError{noClass(s.Name, s.Classes, o.Class)}
		}
		train, test, limited = train/len(s.Classes), test/len(s.Classes), true
	}
	var errs []*RequestError
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
	if len(errs) == 0 && o.Size != 0 {
		images := s.TrainImages(o) + test
		if o.Test > 0 {
			images += o.Test - test
		}
		if err := affordable(s.Name, images, s.Channels, o.Size); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

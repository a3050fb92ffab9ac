package data

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Options says how much of a set to open, and in which shape. Its zero value opens a set whole, as it is stored.
type Options struct {
	// Train and Test are the numbers of images to take, evenly over the classes; 0 means all (of shapes, which can
	// draw any number of all classes, 10,000 and 2,000).
	Train, Test int
	// Size is the height and width that images are resized to; 0 keeps the stored ones (shapes are drawn at 32 and
	// image folders read at 64 then).
	Size int
	// Crop says what of the images of a folder that are not square is taken; the known sets' are square.
	Crop Crop
	// Class is the only class to take images of; empty: all. The set keeps all its classes, and its test split is
	// empty where it has none of this one. An image folder's other images are not read.
	Class string
	// Seed decides which images a subset takes, and for shapes what is drawn.
	Seed uint64
}

// Crop is how a square is made of an image.
type Crop string

// The ways there are.
const (
	CropCenter Crop = "center" // the largest square in its middle is taken; what the zero value stands for
	CropNone   Crop = "none"   // the whole image is taken, squeezed where it is longer
)

// known is one set of the registry.
type known struct {
	Set
	description string
	// open reads the whole set, or what of Options it honours by itself.
	open func(ctx context.Context, dir string, opts Options) (*Dataset, error)
	// locate returns the files that open would read; nil for a set that needs none.
	locate func(dir string) ([]string, error)
}

var registry = []known{
	{
		Set: Set{Name: "shapes", Classes: shapesClasses(), Channels: 3, Train: evenly(shapesTrain), Test: evenly(shapesTest),
			MinSize: shapesMinSize, MaxSize: shapesMaxSize, drawn: true},
		description: "synthetic shapes on random colours, 32x32 in colour, 10 classes; drawn when opened",
		open:        openShapes,
	},
	{
		Set:         Set{Name: "cifar10", Classes: cifarClasses, Channels: 3, Train: evenly(50_000), Test: evenly(10_000), MinSize: 1, MaxSize: maxSize},
		description: "CIFAR-10, 32x32 in colour, 10 classes",
		open:        openCIFAR10, locate: cifar10Files,
	},
	{
		Set:         Set{Name: "fashion-mnist", Classes: fashionClasses, Channels: 1, Train: evenly(60_000), Test: evenly(10_000), MinSize: 1, MaxSize: maxSize},
		description: "Fashion-MNIST, 28x28 in grey, 10 classes",
		open:        openFashionMNIST,
		locate: func(dir string) ([]string, error) {
			paths, err := locateFashionMNIST(dir)
			return paths[:], err
		},
	},
}

// evenly divides a number of images among ten classes.
func evenly(images int) []int { return slices.Repeat([]int{images / 10}, 10) }

const folderPrefix = "folder:"

// maxSize is the largest image size that a set can be resized to.
const maxSize = 1024

// Names returns the names of the known sets. Image folders, which are opened by path, are not among them.
func Names() []string {
	names := make([]string, len(registry))
	for i, k := range registry {
		names[i] = k.Name
	}
	return names
}

// Open reads the data set called name, whose files are in the folder dir, into memory.
//
// A name is one of [Names], or "folder:PATH", or simply a path with a separator in it ("./dogs"); a relative PATH is
// looked for under dir first and then from the working directory. A folder of images holds train/CLASS/*.jpg (or
// .jpeg, .png) and test/ or val/ likewise (test where both are there); or CLASS/*.jpg; or just *.jpg, as one class.
// In the last two, and without test and val, every tenth image of a class is held out as a test image.
//
// Files that are not there give a [*MissingError]; broken ones an error that names the file and what is wrong; options
// that ask for what the set does not have a [*RequestError].
func Open(ctx context.Context, name, dir string, opts Options) (*Dataset, error) {
	set, folder, err := resolve(name, dir)
	if err != nil {
		return nil, err
	}
	if opts.Train < 0 || opts.Test < 0 || opts.Size < 0 {
		return nil, fmt.Errorf("open data set %s: numbers of images and image size must not be negative (train %d, test %d, size %d)", name, opts.Train, opts.Test, opts.Size)
	}
	if opts.Crop != "" && opts.Crop != CropCenter && opts.Crop != CropNone {
		return nil, fmt.Errorf("open data set %s: crop %q is neither %s nor %s", name, opts.Crop, CropCenter, CropNone)
	}
	if opts.Size > maxSize {
		return nil, noSize(name, opts.Size, 1, maxSize)
	}
	if set == nil {
		return openFolder(ctx, folder, opts)
	}
	if set.drawn && opts.Class == "" {
		return set.open(ctx, dir, opts)
	}
	d, err := set.open(ctx, dir, Options{Size: opts.Size, Seed: opts.Seed})
	if err != nil {
		return nil, err
	}
	if opts.Class != "" {
		if d, err = d.only(opts.Class); err != nil {
			return nil, err
		}
	}
	if d, err = d.Subset(opts.Train, opts.Test, opts.Seed); err != nil {
		return nil, err
	}
	if opts.Size > 0 {
		if err := d.resize(ctx, opts.Size); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// resolve finds what a name means: a known set, or else the path of an image folder.
func resolve(name, dir string) (set *known, folder string, err error) {
	for i := range registry {
		if registry[i].Name == name {
			return &registry[i], "", nil
		}
	}
	folder, explicit := strings.CutPrefix(name, folderPrefix)
	if explicit && folder == "" {
		return nil, "", fmt.Errorf("data set %q lacks the path: write folder:PATH", name)
	}
	if explicit || strings.ContainsAny(name, `/\`) || name == "." || name == ".." {
		if under := filepath.Join(dir, folder); dir != "" && !filepath.IsAbs(folder) && (isDir(under) || !isDir(folder)) {
			folder = under
		}
		return nil, folder, nil
	}
	hint := ""
	if dir != "" && isDir(filepath.Join(dir, name)) {
		hint = fmt.Sprintf("for the folder write %q; ", folderPrefix+name)
	} else if near := nearest(name, Names()); near != "" {
		hint = fmt.Sprintf("did you mean %q? ", near)
	}
	return nil, "", fmt.Errorf("unknown data set %q: %sknown are %s, and folder:PATH for a folder of images", name, hint, strings.Join(Names(), ", "))
}

func cifar10Files(dir string) ([]string, error) {
	at, err := locateCIFAR10(dir)
	if err != nil || strings.HasSuffix(at, ".tar.gz") {
		return []string{at}, err
	}
	paths := make([]string, len(cifarFiles))
	for i, name := range cifarFiles {
		paths[i] = filepath.Join(at, name)
	}
	return paths, nil
}

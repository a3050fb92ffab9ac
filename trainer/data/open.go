package data

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

// Options says how much of a set to open, and in which shape. Its zero value opens a set whole, as it is stored.
type Options struct {
	// Train and Test are the numbers of images to take, evenly over the classes; 0 means all (of shapes, which can
	// draw any number, 10,000 and 2,000).
	Train, Test int
	// Size is the height and width that images are resized to; 0 keeps the stored ones (shapes are drawn at 32 and
	// image folders read at 64 then).
	Size int
	// Seed decides which images a subset takes, and for shapes what is drawn.
	Seed uint64
}

// known is one set of the registry.
type known struct {
	name, description string
	train, test       int // images
	// open reads the whole set, or what of Options it honours by itself.
	open func(ctx context.Context, dir string, opts Options) (*Dataset, error)
	// locate returns the files that open would read; nil for a set that needs none.
	locate func(dir string) ([]string, error)
}

var registry = []known{
	{
		name: "shapes", description: "synthetic shapes on random colours, 32x32 in colour, 10 classes; drawn when opened",
		train: shapesTrain, test: shapesTest, open: openShapes,
	},
	{
		name: "cifar10", description: "CIFAR-10, 32x32 in colour, 10 classes",
		train: 50_000, test: 10_000, open: openCIFAR10, locate: cifar10Files,
	},
	{
		name: "fashion-mnist", description: "Fashion-MNIST, 28x28 in grey, 10 classes",
		train: 60_000, test: 10_000, open: openFashionMNIST,
		locate: func(dir string) ([]string, error) {
			paths, err := locateFashionMNIST(dir)
			return paths[:], err
		},
	},
}

const folderPrefix = "folder:"

// Names returns the names of the known sets. Image folders, which are opened by path, are not among them.
func Names() []string {
	names := make([]string, len(registry))
	for i, k := range registry {
		names[i] = k.name
	}
	return names
}

// CheckName reports whether Open could know a set by this name, without looking at any file: nil for a known set
// and for every path, else the error that Open would give.
func CheckName(name string) error {
	_, _, err := resolve(name, "")
	return err
}

// Open reads the data set called name, whose files are in the folder dir, into memory.
//
// A name is one of [Names], or "folder:PATH", or simply a path with a separator in it ("./dogs"); a relative PATH is
// looked for under dir first and then from the working directory. A folder of images holds train/CLASS/*.jpg (or
// .jpeg, .png) and test/ or val/ likewise (test where both are there); or CLASS/*.jpg; or just *.jpg, as one class.
// In the last two, and without test and val, every tenth image of a class is held out as a test image.
//
// Files that are not there give a [*MissingError]; broken ones an error that names the file and what is wrong.
func Open(ctx context.Context, name, dir string, opts Options) (*Dataset, error) {
	set, folder, err := resolve(name, dir)
	if err != nil {
		return nil, err
	}
	if opts.Train < 0 || opts.Test < 0 || opts.Size < 0 {
		return nil, fmt.Errorf("open data set %s: numbers of images and image size must not be negative (train %d, test %d, size %d)", name, opts.Train, opts.Test, opts.Size)
	}
	if opts.Size > shapesMaxSize*2 {
		return nil, fmt.Errorf("open data set %s: image size %d is more than %d", name, opts.Size, shapesMaxSize*2)
	}
	if set == nil {
		return openFolder(ctx, folder, opts)
	}
	d, err := set.open(ctx, dir, opts)
	if err != nil || set.locate == nil { // drawn to order
		return d, err
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
		if registry[i].name == name {
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

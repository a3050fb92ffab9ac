package data

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"swath/trainer/data/gunzip"
)

// FashionMNISTFolder is the folder under the data folder that holds Fashion-MNIST, unless the data folder does.
const FashionMNISTFolder = "fashion-mnist"

// fashionFiles are the set's files, each perhaps with .gz behind: images and labels of training and test.
var fashionFiles = [4]string{
	"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
	"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte",
}

var fashionClasses = []string{
	"t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot",
}

// openFashionMNIST reads Fashion-MNIST (Xiao, Rasul and Vollgraf 2017): 28x28 pixels in one channel. Numbers of
// images and image size are what the files say, so that any set in MNIST's layout with ten classes can be read
// whole; of how many images may be asked for, the published numbers decide (Set.Check).
func openFashionMNIST(ctx context.Context, dir string, _ Options) (*Dataset, error) {
	paths, err := locateFashionMNIST(dir)
	if err != nil {
		return nil, err
	}
	d := &Dataset{Name: "fashion-mnist", Classes: fashionClasses, Channels: 1}
	var arrays [4]idxArray
	err = parallel(ctx, len(paths), func(i int) (err error) {
		arrays[i], err = readIDXFile(paths[i], 3-2*(i%2)) // images have 3 dimensions, labels 1
		return err
	})
	if err != nil {
		return nil, err
	}
	d.Height, d.Width = arrays[0].dims[1], arrays[0].dims[2]
	for i, s := range []*Split{&d.Train, &d.Test} {
		images, labels := arrays[2*i], arrays[2*i+1]
		if images.dims[0] != labels.dims[0] {
			return nil, fmt.Errorf("read fashion-mnist: %s has %s images, %s has %s labels", paths[2*i], grouped(int64(images.dims[0])), paths[2*i+1], grouped(int64(labels.dims[0])))
		}
		if images.dims[1] != d.Height || images.dims[2] != d.Width {
			return nil, fmt.Errorf("read fashion-mnist: %s has images of %dx%d, %s of %dx%d", paths[2*i], images.dims[1], images.dims[2], paths[0], d.Height, d.Width)
		}
		s.Images, s.Labels = images.data, make([]int, len(labels.data))
		for k, l := range labels.data {
			s.Labels[k] = int(l)
		}
	}
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("read fashion-mnist from %s: %w", filepath.Dir(paths[0]), err)
	}
	d.measure()
	return d, nil
}

// locateFashionMNIST returns the paths of the four files, all in dir or all in its subfolder.
func locateFashionMNIST(dir string) (paths [4]string, err error) {
	missing := &MissingError{Set: "fashion-mnist", Fetchable: true}
	if dir == "" {
		return paths, missing
	}
	for _, folder := range []string{dir, filepath.Join(dir, FashionMNISTFolder)} {
		found := 0
		for i, name := range fashionFiles {
			for _, p := range []string{filepath.Join(folder, name), filepath.Join(folder, name+".gz")} {
				if _, err := os.Stat(p); err == nil {
					paths[i] = p
					found++
					break
				} else if !errors.Is(err, fs.ErrNotExist) {
					return paths, fmt.Errorf("look for fashion-mnist: %w", err)
				}
			}
		}
		if found == len(fashionFiles) {
			return paths, nil
		}
		missing.Looked = append(missing.Looked, fmt.Sprintf("%s (each perhaps with .gz) in %s", enumerate(fashionFiles[:], "and"), folder))
	}
	missing.Looked[1] = "the same in " + filepath.Join(dir, FashionMNISTFolder)
	return paths, missing
}

// readIDXFile reads an idx file of bytes that must have the given number of dimensions.
func readIDXFile(name string, dims int) (idxArray, error) {
	f, err := os.Open(name)
	if err != nil {
		return idxArray{}, fmt.Errorf("read idx file: %w", err)
	}
	defer func() { _ = f.Close() }() // opened for reading: closing loses nothing
	var r io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		r = gunzip.NewReader(f)
	}
	a, err := readIDX(r, dims)
	if err != nil {
		return idxArray{}, fmt.Errorf("read idx file %s: %w", name, err)
	}
	return a, nil
}

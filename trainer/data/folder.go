package data

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"image"
	"image/draw"
	_ "image/jpeg" // registers the format
	_ "image/png"  // registers the format
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	folderSize     = 64      // side of the images where the caller asks for none
	folderPixels   = 1 << 27 // an image with more pixels is refused before it is decoded
	folderHoldOut  = 10      // without a folder of test images, every tenth image is one
	folderOneClass = "images"
)

// imageFolder is the listing of a folder of images: paths and labels, in the order of their names.
type imageFolder struct {
	root        string
	classes     []string
	train, test fileList
}

type fileList struct {
	paths  []string
	labels []int
}

// openFolder reads a folder of images; see Open for the layouts. Each image is cropped to its centred square and
// resized. Only the images that are asked for are decoded, so that Mean and Std are theirs.
func openFolder(ctx context.Context, root string, opts Options) (*Dataset, error) {
	folder, err := scanFolder(root)
	if err != nil {
		return nil, err
	}
	size := opts.Size
	if size == 0 {
		size = folderSize
	}
	d := &Dataset{Name: "folder:" + root, Classes: folder.classes, Channels: 3, Height: size, Width: size}
	for i, part := range []struct {
		kind string
		from fileList
		n    int
		to   *Split
	}{{"training", folder.train, opts.Train, &d.Train}, {"test", folder.test, opts.Test, &d.Test}} {
		files := part.from
		if part.n > len(files.paths) {
			return nil, fmt.Errorf("read image folder %s: asked for %d %s images, it has %d", root, part.n, part.kind, len(files.paths))
		}
		if part.n > 0 && part.n < len(files.paths) {
			files = files.take(pick(files.labels, len(folder.classes), part.n, opts.Seed, uint64(i)))
		}
		if *part.to, err = readImages(ctx, files, size); err != nil {
			return nil, fmt.Errorf("read image folder: %w", err)
		}
	}
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("read image folder: %w", err)
	}
	d.measure()
	return d, nil
}

func (l fileList) take(idx []int) fileList {
	var out fileList
	for _, i := range idx {
		out.paths = append(out.paths, l.paths[i])
		out.labels = append(out.labels, l.labels[i])
	}
	return out
}

// scanFolder lists the images under root without opening any.
func scanFolder(root string) (*imageFolder, error) {
	info, err := os.Stat(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &MissingError{Set: "folder:" + root, Looked: []string{"the folder " + root}}
	}
	if err != nil {
		return nil, fmt.Errorf("read image folder: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("read image folder: %s is a file; give the folder that holds train/CLASS/*.jpg or CLASS/*.jpg", root)
	}
	f := &imageFolder{root: root}
	train := filepath.Join(root, "train")
	if !isDir(train) {
		train = root
	}
	if f.classes, f.train, err = scanClasses(train, nil); err != nil {
		return nil, err
	}
	if len(f.train.paths) == 0 {
		return nil, fmt.Errorf("read image folder: no .jpg, .jpeg or .png in %s or in its folders, one a class", train)
	}
	for _, name := range []string{"test", "val"} {
		held := filepath.Join(root, name)
		if train == root || !isDir(held) {
			continue
		}
		if _, f.test, err = scanClasses(held, f.classes); err != nil {
			return nil, err
		}
		if len(f.test.paths) == 0 {
			return nil, fmt.Errorf("read image folder: no .jpg, .jpeg or .png in the folders of %s", held)
		}
		return f, nil
	}
	return f, f.holdOut()
}

// holdOut moves every tenth image of each class from train to test.
func (f *imageFolder) holdOut() error {
	all := f.train
	f.train = fileList{}
	seen := make([]int, len(f.classes))
	for i, l := range all.labels {
		to := &f.train
		if seen[l]%folderHoldOut == folderHoldOut-1 {
			to = &f.test
		}
		seen[l]++
		to.paths = append(to.paths, all.paths[i])
		to.labels = append(to.labels, l)
	}
	if len(f.test.paths) == 0 {
		return fmt.Errorf("read image folder: %s has no test or val folder beside train, and too few images to hold every tenth out; add such a folder", f.root)
	}
	return nil
}

// scanClasses lists the images of dir's folders, one a class, or those of dir itself as one class. Where classes
// are given, dir may have no others.
func scanClasses(dir string, classes []string) ([]string, fileList, error) {
	var files fileList
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, files, fmt.Errorf("read image folder: %w", err)
	}
	given := classes != nil
	flat, err := imagesIn(dir)
	if err != nil {
		return nil, files, err
	}
	if len(flat) > 0 {
		if given && !slices.Equal(classes, []string{folderOneClass}) {
			return nil, files, fmt.Errorf("read image folder: %s holds images outside the folders of the classes %s", dir, enumerate(classes, "and"))
		}
		return []string{folderOneClass}, fileList{flat, make([]int, len(flat))}, nil
	}
	for _, e := range entries { // sorted by name
		class := e.Name()
		if !isDir(filepath.Join(dir, class)) || strings.HasPrefix(class, ".") {
			continue
		}
		paths, err := imagesIn(filepath.Join(dir, class))
		if err != nil {
			return nil, files, err
		}
		if len(paths) == 0 {
			continue
		}
		label := slices.Index(classes, class)
		if label < 0 {
			if given {
				return nil, files, fmt.Errorf("read image folder: %s is of a class that the training images lack (%s)", filepath.Join(dir, class), enumerate(classes, "and"))
			}
			classes = append(classes, class)
			label = len(classes) - 1
		}
		for _, p := range paths {
			files.paths = append(files.paths, p)
			files.labels = append(files.labels, label)
		}
	}
	return classes, files, nil
}

// imagesIn returns the images directly in dir, sorted by name.
func imagesIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read image folder: %w", err)
	}
	var paths []string
	for _, e := range entries {
		switch strings.ToLower(filepath.Ext(e.Name())) {
		case ".jpg", ".jpeg", ".png":
			if !e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
				paths = append(paths, filepath.Join(dir, e.Name()))
			}
		}
	}
	return paths, nil
}

func isDir(p string) bool {
	info, err := os.Stat(p)
	return err == nil && info.IsDir()
}

func readImages(ctx context.Context, files fileList, size int) (Split, error) {
	if err := affordable("these images", len(files.paths), 3, size); err != nil {
		return Split{}, err
	}
	n := 3 * size * size
	s := Split{Images: make([]uint8, len(files.paths)*n), Labels: files.labels}
	return s, parallel(ctx, len(files.paths), func(i int) error {
		return readImage(s.Images[i*n:(i+1)*n], files.paths[i], size)
	})
}

// readImage decodes a picture into dst as three planes of size x size: its centred square, resized. Transparency
// is laid over black, grey becomes three equal channels, and the orientation noted by cameras is not applied.
func readImage(dst []uint8, name string, size int) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // opened for reading: closing loses nothing
	config, _, err := image.DecodeConfig(bufio.NewReader(f))
	if err != nil {
		return fmt.Errorf("%s is no readable JPEG or PNG: %w", name, err)
	}
	if config.Width <= 0 || config.Height <= 0 || config.Width > folderPixels/config.Height {
		return fmt.Errorf("%s says it has %dx%d pixels, more than is read", name, config.Width, config.Height)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	picture, _, err := image.Decode(bufio.NewReader(f))
	if err != nil {
		return fmt.Errorf("%s is no readable JPEG or PNG: %w", name, err)
	}
	b := picture.Bounds()
	side := min(b.Dx(), b.Dy())
	square := image.NewRGBA(image.Rect(0, 0, side, side))
	draw.Draw(square, square.Rect, picture, b.Min.Add(image.Pt((b.Dx()-side)/2, (b.Dy()-side)/2)), draw.Src)

	plane, scratch := make([]uint8, side*side), make([]uint8, size*side)
	r := newResampler(side, side, size, size)
	for c := range 3 {
		for i := range plane {
			plane[i] = square.Pix[4*i+c]
		}
		r.plane(dst[c*size*size:(c+1)*size*size], plane, scratch)
	}
	return nil
}

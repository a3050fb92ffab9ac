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
	folderChannels = 3
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

// openFolder reads a folder of images; see Open for the layouts. Each image is made square as opts.Crop
// says, and resized. Only the images that are asked for are decoded, so that Mean and Std are theirs.
func openFolder(ctx context.Context, root string, opts Options) (*Dataset, error) {
	folder, err := scanFolder(root)
	if err != nil {
		return nil, err
	}
	size := opts.Size
	if size == 0 {
		size = folderSize
	}
	d := &Dataset{Name: folderPrefix + root, Classes: folder.classes, Channels: folderChannels, Height: size, Width: size, class: opts.Class}
	if opts.Class != "" {
		if err := folder.only(opts.Class); err != nil {
			return nil, err
		}
	}
	for i, part := range []struct {
		kind kind
		from fileList
		n    int
		to   *Split
	}{{trainImages, folder.train, opts.Train, &d.Train}, {testImages, folder.test, opts.Test, &d.Test}} {
		files := part.from
		if part.n > len(files.paths) {
			return nil, tooFew(d.Name, part.kind, opts.Class, part.n, len(files.paths))
		}
		if part.n > 0 && part.n < len(files.paths) {
			files = files.take(pick(files.labels, len(folder.classes), part.n, opts.Seed, uint64(i)))
		}
		if *part.to, err = readImages(ctx, files, size, opts.Crop); err != nil {
			return nil, fmt.Errorf("read image folder: %w", err)
		}
	}
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("read image folder: %w", err)
	}
	d.measure()
	return d, nil
}

// set is what is known of the folder, by the name that it goes by.
func (f *imageFolder) set(name string) Set {
	s := Set{Name: name, Channels: folderChannels, MinSize: 1, MaxSize: maxSize, Classes: f.classes}
	for _, part := range []struct {
		labels []int
		counts *[]int
	}{{f.train.labels, &s.Train}, {f.test.labels, &s.Test}} {
		for _, members := range byClass(part.labels, len(f.classes)) {
			*part.counts = append(*part.counts, len(members))
		}
	}
	return s
}

// only drops the images of all classes but one.
func (f *imageFolder) only(class string) error {
	label := slices.Index(f.classes, class)
	if label < 0 {
		return noClass(folderPrefix+f.root, f.classes, class)
	}
	for _, l := range []*fileList{&f.train, &f.test} {
		*l = l.take(byClass(l.labels, len(f.classes))[label])
	}
	return nil
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
		return nil, &MissingError{Set: folderPrefix + root, Looked: []string{"the folder " + root}}
	}
	if err != nil {
		return nil, fmt.Errorf("read image folder: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("read image folder: %s is a file; give the folder that holds train/CLASS/*.jpg or CLASS/*.jpg", root)
	}
	dir := filepath.Join(root, "train")
	if !isDir(dir) {
		dir = root
	}
	train, err := scanClasses(dir)
	if err != nil {
		return nil, err
	}
	if len(train.paths) == 0 {
		return nil, fmt.Errorf("read image folder: no .jpg, .jpeg or .png in %s or in its folders, one a class", dir)
	}
	f := &imageFolder{root: root, classes: train.classes, train: train.fileList}
	for _, name := range []string{"test", "val"} {
		held := filepath.Join(root, name)
		if dir == root || !isDir(held) {
			continue
		}
		test, err := scanClasses(held)
		if err != nil {
			return nil, err
		}
		if len(test.paths) == 0 {
			return nil, fmt.Errorf("read image folder: no .jpg, .jpeg or .png in the folders of %s", held)
		}
		f.test, err = test.relabel(train)
		return f, err
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

// classFolders is what a folder of a split holds: images in folders, one a class, or just images, as one class.
type classFolders struct {
	dir     string
	flat    bool // just images
	classes []string
	fileList
}

// scanClasses lists the images of dir's folders, one a class, or those of dir itself. It fails where there are both.
func scanClasses(dir string) (*classFolders, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read image folder: %w", err)
	}
	c := &classFolders{dir: dir}
	for _, e := range entries { // sorted by name
		class := e.Name()
		if !isDir(filepath.Join(dir, class)) || strings.HasPrefix(class, ".") {
			continue
		}
		paths, err := imagesIn(filepath.Join(dir, class))
		if err != nil {
			return nil, err
		}
		if len(paths) == 0 {
			continue
		}
		c.add(class, paths)
	}
	own, err := imagesIn(dir)
	if err != nil || len(own) == 0 {
		return c, err
	}
	if len(c.classes) > 0 {
		names := make([]string, len(own))
		for i, p := range own {
			names[i] = filepath.Base(p)
		}
		return nil, fmt.Errorf("read image folder: %s holds both images (%s) and folders of images (%s), one a class; move the images into folders, or one or the other elsewhere", dir, someOf(names), someOf(c.classes))
	}
	c.flat = true
	c.add(folderOneClass, own)
	return c, nil
}

func (c *classFolders) add(class string, paths []string) {
	for _, p := range paths {
		c.paths = append(c.paths, p)
		c.labels = append(c.labels, len(c.classes))
	}
	c.classes = append(c.classes, class)
}

// relabel returns the images with the labels that their classes have among the training images.
func (c *classFolders) relabel(train *classFolders) (fileList, error) {
	labels := make([]int, len(c.classes))
	for i, class := range c.classes {
		labels[i] = slices.Index(train.classes, class)
		switch {
		case labels[i] >= 0:
		case c.flat:
			return fileList{}, fmt.Errorf("read image folder: %s holds images outside folders, and %s in folders, one a class (%s); move them into such folders", c.dir, train.dir, someOf(train.classes))
		case train.flat:
			return fileList{}, fmt.Errorf("read image folder: %s holds folders of images, one a class (%s), and %s images outside folders; move those into such folders", c.dir, someOf(c.classes), train.dir)
		default:
			return fileList{}, fmt.Errorf("read image folder: %s is of a class that the training images lack (%s)", filepath.Join(c.dir, class), someOf(train.classes))
		}
	}
	out := fileList{paths: c.paths, labels: make([]int, len(c.labels))}
	for i, l := range c.labels {
		out.labels[i] = labels[l]
	}
	return out, nil
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

func readImages(ctx context.Context, files fileList, size int, crop Crop) (Split, error) {
	if err := affordable("these images", len(files.paths), 3, size); err != nil {
		return Split{}, err
	}
	n := 3 * size * size
	s := Split{Images: make([]uint8, len(files.paths)*n), Labels: files.labels}
	return s, parallel(ctx, len(files.paths), func(i int) error {
		return readImage(s.Images[i*n:(i+1)*n], files.paths[i], size, crop)
	})
}

// readImage decodes a picture into dst as three planes of size x size: what crop takes of it, resized. Transparency
// is laid over black, grey becomes three equal channels, and the orientation noted by cameras is not applied.
func readImage(dst []uint8, name string, size int, crop Crop) error {
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
	width, height := b.Dx(), b.Dy()
	if crop != CropNone {
		width, height = min(width, height), min(width, height)
	}
	taken := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(taken, taken.Rect, picture, b.Min.Add(image.Pt((b.Dx()-width)/2, (b.Dy()-height)/2)), draw.Src)

	plane, scratch := make([]uint8, width*height), make([]uint8, size*height)
	r := newResampler(width, height, size, size)
	for c := range 3 {
		for i := range plane {
			plane[i] = taken.Pix[4*i+c]
		}
		r.plane(dst[c*size*size:(c+1)*size*size], plane, scratch)
	}
	return nil
}

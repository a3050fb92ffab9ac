package data

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestOpenUnknown(t *testing.T) {
	for name, want := range map[string]string{
		"cifar-10":      `did you mean "cifar10"?`,
		"CIFAR10":       `did you mean "cifar10"?`,
		"shape":         `did you mean "shapes"?`,
		"mnist":         `did you mean "fashion-mnist"?`,
		"fashion_mnist": `did you mean "fashion-mnist"?`,
		"imagenet-21k":  `unknown data set "imagenet-21k": known are shapes, cifar10, fashion-mnist, and folder:PATH`,
		"":              `unknown data set ""`,
		"folder:":       "write folder:PATH",
	} {
		_, err := Open(context.Background(), name, t.TempDir(), Options{})
		wantMessage(t, err, want)
		_, err = Known(name)
		wantMessage(t, err, want)
	}
	for _, name := range append(Names(), "folder:x", "./x", "/x/y", ".") {
		if _, err := Known(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// An image folder is found under the data folder, from the working directory and by its whole path.
func TestOpenFolderPaths(t *testing.T) {
	dir := t.TempDir()
	writeClasses(t, filepath.Join(dir, "dogs", "train"), 2, "dog")
	writeClasses(t, filepath.Join(dir, "dogs", "val"), 1, "dog")
	for _, c := range []struct{ name, data string }{
		{"folder:dogs", dir}, {"./dogs", dir}, {"folder:" + filepath.Join(dir, "dogs"), ""}, {filepath.Join(dir, "dogs"), "/nowhere"},
		{".", filepath.Join(dir, "dogs")},
	} {
		if _, err := Open(context.Background(), c.name, c.data, Options{Size: 4}); err != nil {
			t.Errorf("%q: %v", c.name, err)
		}
	}
	_, err := Open(context.Background(), "dogs", dir, Options{})
	wantMessage(t, err, `for the folder write "folder:dogs"`)
	t.Chdir(dir)
	for _, data := range []string{"", "/nowhere"} {
		if _, err := Open(context.Background(), "folder:dogs", data, Options{Size: 4}); err != nil {
			t.Errorf("from the working directory, data folder %q: %v", data, err)
		}
	}
}

func TestOpenSubsetAndSize(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, dir, fashionContents())
	d, err := Open(context.Background(), "fashion-mnist", dir, Options{Train: 20, Test: 10, Size: 8, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if d.Train.Len() != 20 || d.Test.Len() != 10 || d.Height != 8 || d.Width != 8 {
		t.Errorf("%d + %d images of %dx%d", d.Train.Len(), d.Test.Len(), d.Height, d.Width)
	}
	if err := d.check(); err != nil {
		t.Error(err)
	}
	counts := make([]int, 10)
	for _, l := range d.Train.Labels {
		counts[l]++
	}
	if !slices.Equal(counts, slices.Repeat([]int{2}, 10)) {
		t.Errorf("images of each class: %v, want 2", counts)
	}
	_, err = Open(context.Background(), "fashion-mnist", dir, Options{Train: 31})
	wantMessage(t, err, "fashion-mnist has 30 training images, not 31 (use at most 30, or 0 for all)")
	_, err = Open(context.Background(), "fashion-mnist", dir, Options{Size: 5000})
	wantMessage(t, err, "has no images of 5000 pixels")
}

func TestList(t *testing.T) {
	dir := t.TempDir()
	writeArchive(t, filepath.Join(dir, CIFAR10Archive), cifarContents())
	writeFiles(t, filepath.Join(dir, FashionMNISTFolder), fashionContents())
	writeClasses(t, filepath.Join(dir, "dogs", "train"), 3, "dog", "puppy")
	writeClasses(t, filepath.Join(dir, "dogs", "val"), 2, "dog")
	writeFiles(t, filepath.Join(dir, "hollow", "train"), nil)
	writeFiles(t, filepath.Join(dir, "something else"), nil)
	entries, err := List(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	byName := map[string]Entry{}
	for _, e := range entries {
		names = append(names, e.Name)
		byName[e.Name] = e
	}
	if !slices.Equal(names, []string{"shapes", "cifar10", "fashion-mnist", "folder:dogs", "folder:hollow"}) {
		t.Fatalf("the list holds %q", names)
	}
	if e := byName["shapes"]; !e.Present || e.Path != "" || e.Train != 10_000 || e.Test != 2_000 {
		t.Errorf("shapes: %+v", e)
	}
	info, err := os.Stat(filepath.Join(dir, CIFAR10Archive))
	if err != nil {
		t.Fatal(err)
	}
	if e := byName["cifar10"]; !e.Present || e.Path != filepath.Join(dir, CIFAR10Archive) || e.Bytes != info.Size() || e.Train != 50_000 {
		t.Errorf("cifar10: %+v", e)
	}
	if e := byName["fashion-mnist"]; !e.Present || e.Path != filepath.Join(dir, FashionMNISTFolder) || e.Bytes != 616+38+216+18 {
		t.Errorf("fashion-mnist: %+v", e)
	}
	if e := byName["folder:dogs"]; !e.Present || e.Train != 6 || e.Test != 2 || e.Description != "image folder, classes: dog and puppy" {
		t.Errorf("dogs: %+v", e)
	}
	if e := byName["folder:hollow"]; e.Present || e.Problem == "" {
		t.Errorf("hollow: %+v", e)
	}

	for _, none := range []string{"", filepath.Join(dir, "nowhere")} {
		entries, err := List(none)
		if err != nil || len(entries) != 3 || !entries[0].Present || entries[1].Present || entries[1].Problem != "" {
			t.Errorf("of %q: %+v, %v", none, entries, err)
		}
	}
	if err := os.Remove(filepath.Join(dir, FashionMNISTFolder, fashionFiles[0])); err != nil {
		t.Fatal(err)
	}
	writeFiles(t, filepath.Join(dir, "half"), map[string][]byte{"data_batch_1.bin": nil})
	if entries, err = List(filepath.Join(dir, "half")); err != nil || entries[1].Present || entries[1].Problem == "" {
		t.Errorf("an incomplete cifar10: %+v, %v", entries[1], err)
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	writeArchive(t, filepath.Join(dir, CIFAR10Archive), cifarContents())
	writeClasses(t, filepath.Join(dir, "dogs", "train"), 3, "dog")
	writeClasses(t, filepath.Join(dir, "dogs", "train"), 2, "puppy")
	writeClasses(t, filepath.Join(dir, "dogs", "val"), 1, "dog")
	writeClasses(t, filepath.Join(dir, "pets", "train"), 1, "dog")
	writeClasses(t, filepath.Join(dir, "pets", "val"), 1, "cat")
	writeFiles(t, filepath.Join(dir, "hollow", "train"), nil)
	for _, name := range []string{"shapes", "cifar10"} {
		found, err := Find(name, dir)
		known, _ := Known(name)
		if err != nil || !slices.Equal(found.Train, known.Train) {
			t.Errorf("%s is found as %+v, %v", name, found, err)
		}
	}
	found, err := Find("folder:dogs", dir)
	if err != nil || found.Name != "folder:dogs" || !slices.Equal(found.Classes, []string{"dog", "puppy"}) || !slices.Equal(found.Train, []int{3, 2}) || !slices.Equal(found.Test, []int{1, 0}) {
		t.Errorf("the folder is found as %+v, %v", found, err)
	}
	for name, want := range map[string][]string{
		"fashion-mnist": {"swath data fetch fashion-mnist"},
		"folder:wolves": {filepath.Join(dir, "wolves"), "--data DIR"},
		"folder:hollow": {"no .jpg, .jpeg or .png in " + filepath.Join(dir, "hollow", "train")},
		"folder:pets":   {filepath.Join(dir, "pets", "val", "cat"), "training images lack (dog)"},
		"cifar100":      {`did you mean "cifar10"?`},
	} {
		_, err := Find(name, dir)
		wantMessage(t, err, want...)
	}
}

package cli_test

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"testing"
)

// An image folder on this machine is looked into before anything is recorded: for what no
// trial could train on, and for what the trials ask for and it does not have.
func TestImageFolderIsLookedInto(t *testing.T) {
	t.Parallel()
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 16, 16))); err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	for folder, n := range map[string]int{"pets/train/cat": 30, "pets/train/dog": 20, "pets/val/cat": 1, "pets/val/dog": 1, "stray/train": 1, "stray/train/dog": 20, "stray/val/dog": 1} {
		dir := filepath.Join(data, filepath.FromSlash(folder))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i, ".png")), picture.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct{ parameters, want string }{
		{"{dataset: {value: folder:pets}, image_class: {values: [cat, dogs]}, batch_size: {values: [8, 16]}}",
			`sweep.yaml:4:45: image_class: folder:pets has no class "dogs"; did you mean "dog"? It has cat and dog (in trial 1; 2 of the 4 trials cannot run)`},
		{"{dataset: {value: folder:pets}, image_class: {values: [cat, dog]}, batch_size: {values: [8, 24]}}",
			"sweep.yaml:4:80: batch_size: 24 is more than the 20 training images (use at most 20) (in trial 3)"},
		{"{dataset: {values: [folder:pets, folder:stray]}, batch_size: {value: 8}}",
			"stray/train holds both images (0.png) and folders of images (dog), one a class"},
	} {
		file := write(t, "sweep.yaml", "trainer: dcgan\nmethod: grid\nmetric: {name: swd, goal: minimize}\nparameters: "+c.parameters+"\n")
		home := filepath.Join(t.TempDir(), "home")
		swath(t, "run", file, "--data", data, "--home", home).want(t, 2).says(t, c.want)
		if _, err := os.Stat(home); err == nil {
			t.Errorf("%s: a sweep that cannot run made a home", c.parameters)
		}
	}
}

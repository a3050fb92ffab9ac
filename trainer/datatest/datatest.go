// Package datatest is what tests of the trainers share about image folders. It is imported by
// tests only.
package datatest

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"swath/trainer/checkpoint"
	"swath/trainer/data"
)

// WritePictures makes a folder with n pictures of 20×16 pixels: from black on the left to white
// on the right, 12 a pixel.
func WritePictures(t testing.TB, dir string, n int) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	picture := image.NewGray(image.Rect(0, 0, 20, 16))
	for p := range picture.Pix {
		picture.Pix[p] = uint8(p % 20 * 12)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i, ".png")), b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// CheckCrop checks that a trainer's parameter crop reaches the pictures, and makes another
// training. open opens the data set folder:ramps in a data folder, 2 training images in batches
// of 2 at 16×16 pixels, and returns the training's identity besides.
func CheckCrop(t *testing.T, open func(dir, crop string) (*data.Dataset, checkpoint.Identity)) {
	t.Helper()
	dir := t.TempDir()
	for _, split := range []string{"train", "val"} {
		WritePictures(t, filepath.Join(dir, "ramps", split, "ramp"), 2)
	}
	centre, id := open(dir, "center")
	whole, other := open(dir, "none")
	// At 16 pixels of 16, the middle is pixels 2 to 17; of the whole, the first is about pixel 0.
	if left := centre.Image(centre.Train, 0)[0]; left != 2*12 {
		t.Errorf("the picture from its middle begins with %d, want 24", left)
	}
	if left := whole.Image(whole.Train, 0)[0]; left > 12 {
		t.Errorf("the whole picture begins with %d, want about 0", left)
	}
	if _, ok := id.Params["crop"]; ok || other.Params["crop"] != "none" {
		t.Errorf("the trainings are %v and %v", id.Params, other.Params)
	}
}

package vit

import (
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"testing"
)

// TestFashionMNIST trains on a small set in Fashion-MNIST's layout: one channel, 28×28,
// and a class that shows in where an image is bright.
func TestFashionMNIST(t *testing.T) {
	dir := t.TempDir()
	for name, n := range map[string]int{"train": 60, "t10k": 20} {
		images := []byte{0, 0, 8, 3}
		labels := binary.BigEndian.AppendUint32([]byte{0, 0, 8, 1}, uint32(n))
		for _, size := range []int{n, 28, 28} {
			images = binary.BigEndian.AppendUint32(images, uint32(size))
		}
		for i := range n {
			labels = append(labels, byte(i%10))
			for p := range 28 * 28 {
				images = append(images, byte(min(255, 100*(p/28*10/28/(1+i%10))+p%7)))
			}
		}
		for kind, content := range map[string][]byte{"images-idx3": images, "labels-idx1": labels} {
			if err := os.WriteFile(filepath.Join(dir, name+"-"+kind+"-ubyte"), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, size := range []int{28, 16} {
		c, err := NewConfig(map[string]any{"dataset": "fashion-mnist", "image_size": size, "heads": 2, "encoder_layers": 1, "mlp_dim": 16,
			"batch_size": 20, "epochs": 4, "learning_rate": 3e-3, "dropout": 0, "augment": "flip_crop"})
		if err != nil {
			t.Fatal(err)
		}
		if c.Channels != 1 || c.EmbedDim != 4*4*5 {
			t.Fatalf("the model has %d channels and embeds in %d", c.Channels, c.EmbedDim)
		}
		learns(t, c, dir)
	}
}

// TestImageFolder trains on a folder of pictures of other sizes than the model's.
func TestImageFolder(t *testing.T) {
	dir := t.TempDir()
	for _, split := range []string{"train", "val"} {
		for label, colour := range map[string]color.RGBA{"brick": {200, 60, 40, 255}, "grass": {40, 180, 50, 255}} {
			folder := filepath.Join(dir, "pictures", split, label)
			if err := os.MkdirAll(folder, 0o755); err != nil {
				t.Fatal(err)
			}
			for i := range 10 {
				img := image.NewRGBA(image.Rect(0, 0, 20+i, 25))
				for p := range img.Pix {
					img.Pix[p] = uint8(p * (i + 3))
				}
				for y := range 20 {
					for x := range 18 {
						img.SetRGBA(x, y, colour)
					}
				}
				f, err := os.Create(filepath.Join(folder, fmt.Sprint(i, ".png")))
				if err != nil {
					t.Fatal(err)
				}
				if err := png.Encode(f, img); err != nil {
					t.Fatal(err)
				}
				if err := f.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	c, err := NewConfig(map[string]any{"dataset": "folder:pictures", "image_size": 12, "patch_size": 4, "embed_dim": 24, "heads": 2, "classes": 2,
		"encoder_layers": 1, "mlp_dim": 16, "batch_size": 8, "epochs": 4, "learning_rate": 3e-3, "augment": "flip"})
	if err != nil {
		t.Fatal(err)
	}
	learns(t, c, dir)
}

// learns trains and checks that the loss falls and the artifacts are there.
func learns(t *testing.T, c Config, dir string) {
	t.Helper()
	d, err := Open(t.Context(), &c, dir)
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewModel(c)
	if err != nil {
		t.Fatal(err)
	}
	rec, artifacts := &recorder{}, t.TempDir()
	if err := Train(t.Context(), m, d, rec, Options{ArtifactDir: artifacts}); err != nil {
		t.Fatal(err)
	}
	first, last := rec.metrics[0], rec.metrics[len(rec.metrics)-1]
	if last["train_loss"] > 0.9*first["train_loss"] {
		t.Errorf("%s: the loss goes from %v to %v", c.Dataset, first["train_loss"], last["train_loss"])
	}
	if files := kept(t, artifacts); len(files) != 3 {
		t.Errorf("%s leaves %v", c.Dataset, files)
	}
}

package vit

import (
	"encoding/csv"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

func TestArtifacts(t *testing.T) {
	dir := t.TempDir()
	c := tiny(t, map[string]any{"classes": 12, "probe_layers": true, "epochs": 2})
	d, err := Open(t.Context(), &c, "")
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewModel(c)
	if err != nil {
		t.Fatal(err)
	}
	rec := &recorder{}
	if err := Train(t.Context(), m, d, rec, Options{ArtifactDir: dir}); err != nil {
		t.Fatal(err)
	}
	last := rec.metrics[len(rec.metrics)-1]

	f, err := os.Open(filepath.Join(dir, confusionCSV))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 11 || len(rows[0]) != 13 || rows[0][1] != d.Classes[0] || rows[1][0] != d.Classes[0] || rows[0][12] != "label 11" {
		t.Fatalf("the table begins with %v and has %d rows", rows[0], len(rows))
	}
	total, diagonal := 0, 0
	for i, row := range rows[1:] {
		for j, text := range row[1:] {
			n, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			total += n
			if i == j {
				diagonal += n
			}
		}
	}
	if accuracy := float64(diagonal) / float64(total); total != 20 || accuracy != last["test_accuracy"] {
		t.Errorf("the table holds %d images, %d of them on the diagonal; test_accuracy is %v", total, diagonal, last["test_accuracy"])
	}
	for name, least := range map[string][2]int{
		confusionPNG: {400, 400},
		attentionPNG: {3 * attentionSide, 8 * attentionSide}, // the image and two layers; eight images
	} {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		if b := img.Bounds(); b.Dx() < least[0] || b.Dy() < least[1] {
			t.Errorf("%s is %v, want at least %v", name, b, least)
		}
	}
}

// TestProbeLayers checks what layers report against models that are read there.
func TestProbeLayers(t *testing.T) {
	rec := &recorder{}
	c := tiny(t, map[string]any{"probe_layers": true, "encoder_layers": 3, "test_images": 37, "epochs": 2})
	m, err := train(t.Context(), t, c, rec)
	if err != nil {
		t.Fatal(err)
	}
	last := rec.metrics[len(rec.metrics)-1]
	if last["test_accuracy_layer_3"] != last["test_accuracy"] {
		t.Errorf("the last layer has accuracy %v, the model %v", last["test_accuracy_layer_3"], last["test_accuracy"])
	}
	d, err := Open(t.Context(), &c, "")
	if err != nil {
		t.Fatal(err)
	}
	for layer := 1; layer <= 2; layer++ {
		shallow := c
		shallow.ClassTokenLayer = layer
		s, err := NewModel(shallow)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range s.Params.All() {
			from, err := m.Params.Get(w.Name, nil, w.Value.Shape()...)
			if err != nil {
				t.Fatal(err)
			}
			copy(w.Data(), from.Data())
		}
		e, err := evaluate(t.Context(), s, d, d.Test)
		if err != nil {
			t.Fatal(err)
		}
		name := "test_accuracy_layer_" + strconv.Itoa(layer)
		if last[name] != e.accuracy() {
			t.Errorf("%s is %v, a model that is read there has %v", name, last[name], e.accuracy())
		}
	}
	if _, ok := last["test_accuracy_layer_4"]; ok || len(last) != 8 {
		t.Errorf("the last epoch reports %v", last)
	}
}

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		n, limit int
		want     []int
	}{{3, 12, []int{0, 1, 2}}, {24, 4, []int{5, 11, 17, 23}}, {1, 1, []int{0}}} {
		if got := spread(c.n, c.limit); !slices.Equal(got, c.want) {
			t.Errorf("%d of %d are %v, want %v", c.limit, c.n, got, c.want)
		}
	}
}

// TestDrawingOddSizes draws matrices with more labels than classes and more classes than letters fit.
func TestDrawingOddSizes(t *testing.T) {
	for _, c := range []struct{ classes, labels int }{{1, 1}, {2, 700}, {300, 300}} {
		e := &evaluation{confusion: make([][]int, c.classes)}
		var names []string
		for i := range e.confusion {
			e.confusion[i] = make([]int, c.labels)
			e.confusion[i][c.labels-1] = 100000
			names = append(names, "class "+strconv.Itoa(i))
		}
		path := filepath.Join(t.TempDir(), "m.png")
		canvas := drawConfusion(names, e)
		if err := canvas.Save(path); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

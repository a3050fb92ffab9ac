package vit

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"swath/trainer/checkpoint"
	"swath/trainer/data"
	"swath/trainer/datatest"
	"swath/trainer/nn"
	"swath/trainer/nn/kernel"
	"swath/trainer/report"
)

// tiny is a model that trains in milliseconds.
func tiny(t *testing.T, params map[string]any) Config {
	t.Helper()
	all := map[string]any{"dataset": "shapes", "train_images": 50, "test_images": 20, "image_size": 16, "patch_size": 8, "embed_dim": 12,
		"heads": 3, "encoder_layers": 2, "mlp_dim": 16, "batch_size": 20, "epochs": 1, "learning_rate": 1e-3, "seed": 5}
	for k, v := range params {
		all[k] = v
	}
	c, err := NewConfig(all)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestKernelVariable: what a worker passes on is what the kernels read.
func TestKernelVariable(t *testing.T) {
	if report.EnvKernel != kernel.EnvVar {
		t.Errorf("a worker passes on %s, the kernels read %s", report.EnvKernel, kernel.EnvVar)
	}
}

func TestDefaultsAreTheReports(t *testing.T) {
	c, err := NewConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{Dataset: "cifar10", ImageSize: 32, Crop: "center", Channels: 3, Classes: 10, PatchSize: 4, EmbedDim: 240, Heads: 12, EncoderLayers: 4,
		ClassTokenLayer: 4, MLPDim: 1024, Dropout: 0.1, LearningRate: 1e-4, Optimizer: "adam", BatchSize: 100, Epochs: 10,
		Schedule: "constant", Augment: "none", ReportEvery: 50}
	if c != want {
		t.Errorf("defaults are\n%+v, want\n%+v", c, want)
	}
	// 117.9 GFLOP is what the feasibility study counted for this model, without the last
	// layer's restriction to the class token; of which it takes off all but keys and values.
	if g := c.FLOPs() / 1e9; math.Abs(g-93.3) > 0.5 {
		t.Errorf("a step is %.2f GFLOP, want 93.3", g)
	}
	c.AllTokens = true
	if g := c.FLOPs() / 1e9; math.Abs(g-117.9) > 0.5 {
		t.Errorf("a step for all tokens is %.2f GFLOP, want 117.9", g)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		params map[string]any
		want   string // "" for valid
	}{
		{nil, ""},
		{map[string]any{"heads": int64(8), "patch_size": 8.0, "learning_rate": 1}, ""},
		{map[string]any{"patch_size": 2, "heads": 12}, ""},
		{map[string]any{"dataset": "fashion-mnist", "image_size": 28, "heads": 10}, ""},
		{map[string]any{"heads": 7}, "heads: 7 does not divide embed_dim 240 (use a divisor of 240, or add the constraint 'embed_dim % heads == 0')"},
		{map[string]any{"patch_size": 5, "embed_dim": 12}, "patch_size: 5 does not divide image_size 32 (use a divisor of 32, or add the constraint 'image_size % patch_size == 0')"},
		{map[string]any{"class_token_layer": 5}, "class_token_layer: there is no encoder layer 5 to read after (use at most encoder_layers, which is 4)"},
		{map[string]any{"epoch": 3}, `epoch: vit has no such parameter; did you mean "epochs"?`},
		{map[string]any{"learning_rate": -1}, "learning_rate: -1 is out of range: want more than 0"},
		{map[string]any{"dropout": 1.0}, "dropout: 1 is out of range: want at least 0 and less than 1"},
		{map[string]any{"batch_size": 2.5}, "batch_size: want an integer, not 2.5"},
		{map[string]any{"optimizer": "lbfgs"}, `optimizer: "lbfgs" is none of adam, adamw, sgd`},
		{map[string]any{"dataset": "cifar"}, `dataset: unknown data set "cifar"`},
		{map[string]any{"weight_decay": 0.1}, "weight_decay: adam has none (use optimizer adamw, or leave weight_decay at 0)"},
		{map[string]any{"image_size": 1024, "patch_size": 1, "embed_dim": 12}, "more than the 16384 that fit into memory"},
		{map[string]any{"schedule": "cosine", "warmup_epochs": 0.5, "augment": "flip_crop", "probe_layers": true, "report_every": 0}, ""},
		{map[string]any{"epochs": 3, "warmup_epochs": 3.5}, "warmup_epochs: 3.5 are more than the 3 epochs"},
		{map[string]any{"schedule": "step"}, `schedule: "step" is none of constant, cosine`},
		{map[string]any{"augment": "crop"}, `augment: "crop" is none of none, flip, flip_crop`},
		{map[string]any{"probe_layers": 1}, "probe_layers: want true or false, not 1"},
		{map[string]any{"classes": 5}, "classes: data set cifar10 has 10 classes, more than 5 (set classes to 10)"},
		{map[string]any{"classes": 12, "train_images": 50_000, "test_images": 10_000}, ""},
		{map[string]any{"train_images": 50_001}, "train_images: cifar10 has 50,000 training images, not 50,001 (use at most 50,000, or 0 for all)"},
		{map[string]any{"test_images": 20_000, "dataset": "fashion-mnist"}, "test_images: fashion-mnist has 10,000 test images, not 20,000"},
		{map[string]any{"dataset": "shapes", "image_size": 4}, "image_size: shapes has no images of 4 pixels (use 8 to 512)"},
		{map[string]any{"dataset": "shapes", "image_size": 1024, "patch_size": 32}, "image_size: shapes has no images of 1024 pixels (use 8 to 512)"},
		{map[string]any{"dataset": "shapes", "image_size": 8, "train_images": 1 << 20}, ""},
		{map[string]any{"batch_size": 101, "train_images": 100}, "batch_size: 101 is more than the 100 training images (use at most 100)"},
		{map[string]any{"batch_size": 100, "train_images": 100}, ""},
		{map[string]any{"batch_size": 60_000}, "batch_size: 60000 is more than the 50000 training images"},
		{map[string]any{"dataset": "folder:x", "batch_size": 60_000, "train_images": 3000}, "batch_size: 60000 is more than the 3000 training images"},
		{map[string]any{"dataset": "folder:x", "batch_size": 60_000, "classes": 1, "train_images": 0}, ""},
		{map[string]any{"crop": "none"}, ""},
		{map[string]any{"crop": "centre"}, `crop: "centre" is none of center, none; did you mean "center"?`},
		{map[string]any{"heads": 7, "class_token_layer": 9}, "; class_token_layer: there is no encoder layer 9"},
	} {
		err := Validate(c.params)
		if c.want == "" {
			if err != nil {
				t.Errorf("%v: %v", c.params, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v gives %v, want %s", c.params, err, c.want)
		}
	}
}

// fillRandom puts noise and labels into the training batch.
func fillRandom(m *Model, seed uint64) {
	r, b := nn.NewRand(seed), m.TrainBatch()
	nn.Normal(1)(b.Images, r)
	for i := range b.Labels {
		b.Labels[i] = int32(r.Intn(m.Config.Classes))
	}
}

// TestModelGradient compares the gradient of the whole model with central
// differences of its loss along a random direction of each weight.
func TestModelGradient(t *testing.T) {
	m, err := NewModel(tiny(t, map[string]any{"dropout": 0.2}))
	if err != nil {
		t.Fatal(err)
	}
	fillRandom(m, 1)
	loss := func() float64 {
		r, err := m.train.run()
		if err != nil {
			t.Fatal(err)
		}
		return r.Loss
	}
	r := nn.NewRand(2)
	for _, w := range m.Params.All() { // away from the start, where the head is small and biases are zero
		for i := range w.Data() {
			w.Data()[i] += float32(0.2 * r.Normal())
		}
	}
	loss()
	grads := make([][]float32, len(m.weights))
	for i, w := range m.weights {
		g, err := w.Grad()
		if err != nil {
			t.Fatal(err)
		}
		grads[i] = slices.Clone(g.Data().([]float32))
	}
	for i, w := range m.weights {
		data := w.Value().Data().([]float32)
		saved := slices.Clone(data)
		// Along the gradient itself the difference is largest, and stands out of the rounding of a float32 loss.
		norm := 0.0
		for _, g := range grads[i] {
			norm += float64(g) * float64(g)
		}
		norm = math.Sqrt(norm)
		if norm < 1e-6 {
			t.Errorf("the gradient of %s is %g: nothing reaches it", w.Name(), norm)
			continue
		}
		h := min(0.02, 0.05/norm)
		at := func(sign float64) float64 {
			for j, g := range grads[i] {
				data[j] = saved[j] + float32(sign*h*float64(g)/norm)
			}
			return loss()
		}
		numeric := (at(1) - at(-1)) / (2 * h)
		copy(data, saved)
		if math.Abs(numeric-norm) > 0.02*norm+1e-4 {
			t.Errorf("%s: slope %v along the gradient, want its norm %v", w.Name(), numeric, norm)
		}
	}
}

// TestLastLayerOfTheClassToken compares the model with one that computes its last layer
// for all tokens: the same loss, logits and gradients from the same weights.
func TestLastLayerOfTheClassToken(t *testing.T) {
	for _, layers := range []int{1, 3} {
		c := tiny(t, map[string]any{"dropout": 0, "encoder_layers": layers, "optimizer": "sgd"})
		var losses []float64
		var grads [][]float32
		for _, all := range []bool{false, true} {
			c.AllTokens = all
			m, err := NewModel(c)
			if err != nil {
				t.Fatal(err)
			}
			fillRandom(m, 1)
			r := nn.NewRand(2)
			for _, w := range m.Params.All() {
				for i := range w.Data() {
					w.Data()[i] += float32(0.2 * r.Normal())
				}
			}
			result, err := m.Step()
			if err != nil {
				t.Fatal(err)
			}
			var grad []float32
			for _, w := range m.weights {
				g, err := w.Grad()
				if err != nil {
					t.Fatal(err)
				}
				grad = append(grad, g.Data().([]float32)...)
			}
			losses, grads = append(losses, result.Loss), append(grads, grad)
		}
		if math.Abs(losses[0]-losses[1]) > 1e-6*losses[1] {
			t.Errorf("%d layers: the loss is %v, for all tokens %v", layers, losses[0], losses[1])
		}
		size, difference := 0.0, 0.0
		for i, g := range grads[1] {
			size += float64(g) * float64(g)
			difference += float64(g-grads[0][i]) * float64(g-grads[0][i])
		}
		if difference > 1e-11*size || size == 0 {
			t.Errorf("%d layers: the gradients differ by %v of their size", layers, math.Sqrt(difference/size))
		}
	}
}

// recorder keeps what a training reports.
type recorder struct {
	steps    []int64
	metrics  []map[string]float64
	progress float64
	onReport func()
	// failAfter is how many reports are taken before the next is refused; 0: none is.
	failAfter int
}

// errReport is what a recorder refuses a report with.
var errReport = errors.New("no more reports")

func (r *recorder) Report(step int64, metrics map[string]float64) error {
	if r.failAfter > 0 && len(r.steps) == r.failAfter {
		return errReport
	}
	r.steps, r.metrics = append(r.steps, step), append(r.metrics, metrics)
	if r.onReport != nil {
		r.onReport()
	}
	return nil
}

func (r *recorder) Progress(fraction float64, _ int64) error {
	r.progress = fraction
	return nil
}

// train runs a configuration and returns the model and what was reported.
func train(ctx context.Context, t *testing.T, c Config, rec *recorder) (*Model, error) {
	t.Helper()
	d, err := Open(ctx, &c, "")
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewModel(c)
	if err != nil {
		t.Fatal(err)
	}
	return m, Train(ctx, m, d, rec, Options{})
}

// weightBits are all weights of a model, as bits.
func weightBits(m *Model) []uint32 {
	var bits []uint32
	for _, w := range m.Params.All() {
		for _, v := range w.Data() {
			bits = append(bits, math.Float32bits(v))
		}
	}
	return bits
}

func TestWeightsDoNotDependOnThreads(t *testing.T) {
	before := kernel.Threads()
	defer kernel.SetThreads(before)
	c := tiny(t, map[string]any{"image_size": 32, "patch_size": 4, "embed_dim": 48, "mlp_dim": 96, "train_images": 60})
	var want []uint32
	var reported map[string]float64
	for _, threads := range []int{1, 2, 5, 1} {
		kernel.SetThreads(threads)
		rec := &recorder{}
		m, err := train(t.Context(), t, c, rec)
		if err != nil {
			t.Fatal(err)
		}
		got := weightBits(m)
		if want == nil {
			want, reported = got, rec.metrics[0]
			continue
		}
		if !slices.Equal(got, want) {
			t.Errorf("the weights with %d threads differ from those with 1", threads)
		}
		if rec.metrics[0]["test_loss"] != reported["test_loss"] || rec.metrics[0]["train_loss"] != reported["train_loss"] {
			t.Errorf("the losses with %d threads differ: %v and %v", threads, rec.metrics[0], reported)
		}
	}
	c.Seed++
	m, err := train(t.Context(), t, c, &recorder{})
	if err != nil {
		t.Fatal(err)
	}
	if slices.Equal(weightBits(m), want) {
		t.Error("the weights do not depend on the seed")
	}
}

// TestIncompleteBatch checks that places left over in a batch have no part in anything.
func TestIncompleteBatch(t *testing.T) {
	step := func(batch, images int) (Result, []uint32) {
		c := tiny(t, map[string]any{"batch_size": batch, "dropout": 0, "optimizer": "sgd"})
		d, err := Open(t.Context(), &c, "")
		if err != nil {
			t.Fatal(err)
		}
		m, err := NewModel(c)
		if err != nil {
			t.Fatal(err)
		}
		idx := make([]int, images)
		for i := range idx {
			idx[i] = i
		}
		if err := m.TrainBatch().fill(d, d.Train, idx); err != nil {
			t.Fatal(err)
		}
		r, err := m.Step()
		if err != nil {
			t.Fatal(err)
		}
		return r, weightBits(m)
	}
	full, fullBits := step(7, 7)
	padded, paddedBits := step(20, 7)
	if math.Abs(full.Loss-padded.Loss) > 1e-6 || full.Correct != padded.Correct {
		t.Errorf("7 images in a batch of 20 give %+v, in one of 7 %+v", padded, full)
	}
	for i := range fullBits {
		a, b := math.Float32frombits(fullBits[i]), math.Float32frombits(paddedBits[i])
		if math.Abs(float64(a-b)) > 1e-5 {
			t.Fatalf("weight %d is %v after a step of 7 in 20, %v after one of 7 in 7", i, b, a)
		}
	}
}

func TestEvaluationSeesTheTrainedWeights(t *testing.T) {
	c := tiny(t, map[string]any{"dropout": 0.5, "learning_rate": 5e-3})
	m, err := NewModel(c)
	if err != nil {
		t.Fatal(err)
	}
	fillRandom(m, 3)
	copy(m.EvalBatch().Images, m.TrainBatch().Images)
	copy(m.EvalBatch().Labels, m.TrainBatch().Labels)
	evaluate := func() float64 {
		r, err := m.Evaluate()
		if err != nil {
			t.Fatal(err)
		}
		return r.Loss
	}
	before := evaluate()
	if again := evaluate(); again != before {
		t.Errorf("evaluating twice gives %v and %v: is dropout on?", before, again)
	}
	for range 30 {
		if _, err := m.Step(); err != nil {
			t.Fatal(err)
		}
	}
	if after := evaluate(); after > 0.9*before {
		t.Errorf("30 steps on one batch take its loss from %v to %v", before, after)
	}
}

func TestOptimizersLearnOneBatch(t *testing.T) {
	for name, params := range map[string]map[string]any{
		"adam":  {"optimizer": "adam", "learning_rate": 1e-2},
		"adamw": {"optimizer": "adamw", "learning_rate": 1e-2, "weight_decay": 0.01},
		"sgd":   {"optimizer": "sgd", "learning_rate": 0.05},
		"early": {"class_token_layer": 1, "learning_rate": 1e-2},
	} {
		t.Run(name, func(t *testing.T) {
			params["dropout"] = 0
			m, err := NewModel(tiny(t, params))
			if err != nil {
				t.Fatal(err)
			}
			fillRandom(m, 4)
			var r Result
			for range 60 {
				if r, err = m.Step(); err != nil {
					t.Fatal(err)
				}
			}
			if r.Loss > 0.5 || r.Correct < 18 {
				t.Errorf("after 60 steps on 20 images: %+v", r)
			}
		})
	}
}

func TestLearnsShapes(t *testing.T) {
	c := tiny(t, map[string]any{"train_images": 500, "test_images": 200, "patch_size": 4, "embed_dim": 32, "heads": 4, "mlp_dim": 64, "batch_size": 25,
		"epochs": 6, "learning_rate": 2e-3, "dropout": 0})
	rec := &recorder{}
	if _, err := train(t.Context(), t, c, rec); err != nil {
		t.Fatal(err)
	}
	// 20 steps an epoch; the loss of every 50 has the optimiser's step.
	if !slices.Equal(rec.steps, []int64{1, 2, 50, 3, 4, 100, 5, 6}) || rec.progress != 1 {
		t.Errorf("reported steps %v and progress %v", rec.steps, rec.progress)
	}
	for i, m := range rec.metrics {
		if loss, ok := m["loss"]; ok != (rec.steps[i] >= 50) || ok && (len(m) != 1 || loss <= 0) {
			t.Errorf("step %d reports %v", rec.steps[i], m)
		}
	}
	last := rec.metrics[len(rec.metrics)-1]
	for _, name := range []string{"train_loss", "train_accuracy", "test_loss", "test_accuracy", "images_per_second"} {
		if v, ok := last[name]; !ok || v <= 0 {
			t.Errorf("metric %s is %v", name, v)
		}
	}
	if last["train_loss"] >= rec.metrics[0]["train_loss"] || last["test_accuracy"] < 0.2 {
		t.Errorf("no learning: %v at first, %v in the end (chance is 0.1)", rec.metrics[0], last)
	}
}

func TestDivergence(t *testing.T) {
	_, err := train(t.Context(), t, tiny(t, map[string]any{"optimizer": "sgd", "learning_rate": 1e18, "epochs": 5}), &recorder{})
	if !errors.Is(err, report.ErrDiverged) || !strings.Contains(err.Error(), "step ") || !strings.Contains(err.Error(), "first, ") {
		t.Errorf("training at an absurd learning rate ends with %v", err)
	}
}

// TestDivergenceNamesTheTensor plants a bad number, and checks that the step is refused
// with its place named, and that no weight has taken it up.
func TestDivergenceNamesTheTensor(t *testing.T) {
	for want, plant := range map[string]func(m *Model){
		"the loss is NaN; first, input images has 1 NaN and 0 Inf": func(m *Model) { m.TrainBatch().Images[3] = float32(math.NaN()) },
		"first, weight encoder.2.mlp1.bias has 0 NaN and 1 Inf": func(m *Model) {
			w, _ := m.Params.Get("encoder.2.mlp1.bias", nil, m.Config.MLPDim)
			w.Data()[0] = float32(math.Inf(1))
		},
		"first, the result of linear encoder.1.projection has ": func(m *Model) {
			w, _ := m.Params.Get("encoder.1.projection.weight", nil, m.Config.EmbedDim, m.Config.EmbedDim)
			v, _ := m.Params.Get("encoder.1.qkv.bias", nil, 3*m.Config.EmbedDim)
			for i := range w.Data() {
				w.Data()[i] = 1e30
			}
			for i := range v.Data() {
				v.Data()[i] = 1e15
			}
		},
	} {
		m, err := NewModel(tiny(t, nil))
		if err != nil {
			t.Fatal(err)
		}
		fillRandom(m, 1)
		plant(m)
		before := weightBits(m)
		if _, err := m.Step(); !errors.Is(err, report.ErrDiverged) || !strings.Contains(err.Error(), want) {
			t.Errorf("the step ends with %v, want %q", err, want)
		}
		if !slices.Equal(weightBits(m), before) {
			t.Error("the step changed weights")
		}
	}
}

func TestCancellation(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	rec := &recorder{onReport: cancel} // after the first epoch
	_, err := train(ctx, t, tiny(t, map[string]any{"epochs": 1000}), rec)
	if !errors.Is(err, context.Canceled) || len(rec.steps) != 1 {
		t.Errorf("a cancelled training ends with %v after %d epochs", err, len(rec.steps))
	}
}

func TestRunThroughTheProtocol(t *testing.T) {
	before := kernel.Threads()
	defer kernel.SetThreads(before)
	dir := t.TempDir()
	run := func(params string) error {
		s, err := report.NewSession(json.RawMessage(params), dir, os.Stderr)
		if err != nil {
			t.Fatal(err)
		}
		s.ReportPath, s.DataDir = filepath.Join(dir, "report.jsonl"), dir
		defer func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
		return Run(t.Context(), s)
	}
	const small = `"train_images": 40, "test_images": 20, "image_size": 16, "patch_size": 8, "embed_dim": 12, "heads": 2, "mlp_dim": 8, "batch_size": 20, "epochs": 2, "threads": 1`
	if err := run(`{"dataset": "shapes", ` + small + `}`); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "report.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"step":1`, `"step":2`, `"test_accuracy":`, `"train_loss":`, `"progress":1`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("the report lacks %s:\n%s", want, b)
		}
	}

	pictures := filepath.Join(dir, "pictures")
	for _, class := range []string{"brick", "grass"} {
		datatest.WritePictures(t, filepath.Join(pictures, "train", class), 8)
		datatest.WritePictures(t, filepath.Join(pictures, "val", class), 2)
	}
	for params, want := range map[string]string{
		`{"heads": 7}`: "heads: 7 does not divide embed_dim 240",
		`{"dataset": "shapes", "classes": 3, ` + small + `}`: "has 10 classes, more than 3 (set classes to 10)",
		// What the files alone show.
		`{"dataset": "folder:pictures", "classes": 1, "image_size": 16, "batch_size": 16}`:       "classes: data set folder:pictures has 2 classes, more than 1 (set classes to 2)",
		`{"dataset": "folder:pictures", "train_images": 17, "image_size": 16, "batch_size": 17}`: "train_images: folder:" + pictures + " has 16 training images, not 17 (use at most 16, or 0 for all)",
		`{"dataset": "folder:pictures", "test_images": 5, "image_size": 16, "batch_size": 4}`:    "test_images: folder:" + pictures + " has 4 test images, not 5",
		`{"dataset": "folder:pictures", "train_images": 0, "image_size": 16, "batch_size": 17}`:  "batch_size: 17 is more than the 16 training images (use at most 16)",
	} {
		if err := run(params); !errors.Is(err, report.ErrSpec) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s ends with %v, want a spec error with %q", params, err, want)
		}
	}
	var missing *data.MissingError
	if err := run(`{"dataset": "cifar10"}`); !errors.As(err, &missing) {
		t.Errorf("training without the data set ends with %v, want a data.MissingError", err)
	}
}

func TestCrop(t *testing.T) {
	datatest.CheckCrop(t, func(dir, crop string) (*data.Dataset, checkpoint.Identity) {
		t.Helper()
		c := tiny(t, map[string]any{"dataset": "folder:ramps", "train_images": 0, "test_images": 0, "batch_size": 2, "crop": crop})
		d, err := Open(t.Context(), &c, dir)
		if err != nil {
			t.Fatal(err)
		}
		return d, identity(&c, d)
	})
}

func BenchmarkStep(b *testing.B) {
	for _, threads := range []int{1, 2} {
		b.Run(map[int]string{1: "threads=1", 2: "threads=2"}[threads], func(b *testing.B) {
			before := kernel.Threads()
			defer kernel.SetThreads(before)
			kernel.SetThreads(threads)
			c, err := NewConfig(nil)
			if err != nil {
				b.Fatal(err)
			}
			m, err := NewModel(c)
			if err != nil {
				b.Fatal(err)
			}
			fillRandom(m, 1)
			if _, err := m.Step(); err != nil { // touches all memory
				b.Fatal(err)
			}
			start, steps := time.Now(), 0
			for b.Loop() {
				if _, err := m.Step(); err != nil {
					b.Fatal(err)
				}
				steps++
			}
			b.ReportMetric(c.FLOPs()*float64(steps)/time.Since(start).Seconds()/1e9, "GFLOP/s")
		})
	}
}

// TestReportsItsMetrics trains, and compares the metrics with those that the trainer tells.
func TestReportsItsMetrics(t *testing.T) {
	tr := Trainer()
	for _, params := range []map[string]any{
		{"report_every": 1}, {"report_every": 0}, {"report_every": 1, "probe_layers": true, "encoder_layers": 2},
		{"report_every": 0, "probe_layers": true, "encoder_layers": 3, "class_token_layer": 2},
	} {
		rec := &recorder{}
		if _, err := train(t.Context(), t, tiny(t, params), rec); err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, m := range rec.metrics {
			for name := range m {
				got[name] = true
			}
		}
		want, err := tr.Reports(params)
		if err != nil || !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(slices.Values(want))) {
			t.Errorf("%v: %v are reported, and %v are told (%v)", params, slices.Sorted(maps.Keys(got)), want, err)
		}
	}
}

// TestDivergenceInTheEvaluation: what no further step would notice, the evaluation does.
func TestDivergenceInTheEvaluation(t *testing.T) {
	_, err := train(t.Context(), t, tiny(t, map[string]any{"train_images": 20, "learning_rate": 1e38}), &recorder{})
	if !errors.Is(err, report.ErrDiverged) || !strings.HasPrefix(err.Error(), "step 1 (epoch 1): evaluating: diverged: the loss is ") || !strings.Contains(err.Error(), "; first, ") {
		t.Errorf("a huge step ends with %v", err)
	}
}

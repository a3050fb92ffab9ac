package dcgan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"swath/trainer/checkpoint"
	"swath/trainer/data"
	"swath/trainer/datatest"
	"swath/trainer/nn"
	"swath/trainer/nn/kernel"
	"swath/trainer/report"
)

// small are the parameters of a model that trains in milliseconds.
func small(params map[string]any) map[string]any {
	all := map[string]any{"dataset": "shapes", "train_images": 50, "image_size": 16, "batch_size": 16, "latent_dim": 6, "generator_features": 4,
		"discriminator_features": 3, "mapping_depth": 2, "mapping_width": 8, "epochs": 2, "seed": 5, "swd_images": 20, "report_every": 2, "sample_every": 1}
	maps.Copy(all, params)
	return all
}

func config(t testing.TB, params map[string]any) Config {
	t.Helper()
	c, err := NewConfig(params)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func model(t testing.TB, params map[string]any) *Model {
	t.Helper()
	m, err := NewModel(config(t, small(params)))
	if err != nil {
		t.Fatal(err)
	}
	fillReal(m)
	return m
}

// fillReal makes noise the batch of real images.
func fillReal(m *Model) { nn.Normal(0.5)(m.Real(), nn.NewRand(1)) }

func TestDefaultsAreTheReports(t *testing.T) {
	c := config(t, nil)
	want := Config{Dataset: "folder:afhq", ImageSize: 64, Crop: "center", Generator: "dcgan", LatentDim: 100, GeneratorFeatures: 64, DiscriminatorFeatures: 64,
		MappingDepth: 8, MappingWidth: 512, LearningRate: 2e-4, Beta1: 0.5, BatchSize: 128, Epochs: 80, ReportEvery: 10, SampleEvery: 5, SWDImages: 512}
	if c != want {
		t.Errorf("defaults are\n%+v, want\n%+v", c, want)
	}
}

// TestLayersAreThePapers pins the shapes of figure 1 of the DCGAN paper, and of the
// discriminator that mirrors it.
func TestLayersAreThePapers(t *testing.T) {
	m, err := NewModel(config(t, map[string]any{"batch_size": 2, "image_size": 64}))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range m.Params.All() {
		if strings.HasSuffix(p.Name, ".weight") {
			got = append(got, fmt.Sprint(p.Name, []int(p.Value.Shape())))
		}
	}
	want := []string{
		"generator.project.weight[4 4 512 100]", "generator.8.weight[4 4 256 512]", "generator.16.weight[4 4 128 256]",
		"generator.32.weight[4 4 64 128]", "generator.image.weight[4 4 3 64]",
		"discriminator.32.weight[4 4 3 64]", "discriminator.16.weight[4 4 64 128]", "discriminator.8.weight[4 4 128 256]",
		"discriminator.4.weight[4 4 256 512]", "discriminator.verdict.weight[4 4 512 1]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the weights are\n%s, want\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, p := range m.Params.All() {
		mean, square := 0.0, 0.0
		for _, v := range p.Data() {
			mean += float64(v) / float64(len(p.Data()))
			square += float64(v) * float64(v) / float64(len(p.Data()))
		}
		wantMean := 0.0
		switch {
		case strings.HasSuffix(p.Name, ".gamma"):
			wantMean = 1
		case !strings.HasSuffix(p.Name, ".weight"):
			continue
		}
		if std := math.Sqrt(square - mean*mean); math.Abs(mean-wantMean) > 0.01 || math.Abs(std-0.02) > 0.004 {
			t.Errorf("%s starts with mean %.4f and deviation %.4f, want %v and 0.02", p.Name, mean, std, wantMean)
		}
	}
}

func TestSizes(t *testing.T) {
	for _, generator := range []string{plainGenerator, styleGenerator} {
		for _, size := range []int{16, 32, 64, 128} {
			m := model(t, map[string]any{"image_size": size, "batch_size": 2, "generator": generator, "generator_features": 2, "discriminator_features": 2})
			if _, err := m.Step(); err != nil {
				t.Errorf("%s at %d: %v", generator, size, err)
			}
			images, err := m.Synthesise(nil, make([]float32, 3*m.WidthW()))
			if err != nil || len(images) != 3*size*size*channels {
				t.Errorf("%s at %d makes %d numbers of three latents (%v)", generator, size, len(images), err)
			}
		}
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		params map[string]any
		want   string // "" for valid
	}{
		{nil, ""},
		{map[string]any{"image_size": 128, "generator": "style", "learning_rate": 2e-5}, ""},
		{map[string]any{"dataset": "shapes", "image_class": "star"}, ""},
		{map[string]any{"image_size": 48}, "image_size: 48 is not a power of two (use 32, 64 or 128)"},
		{map[string]any{"generator": "stile"}, `generator: "stile" is none of dcgan, style; did you mean "style"?`},
		{map[string]any{"generator_features": 7}, "generator_features: 7 is odd"},
		{map[string]any{"dataset": "fashion-mnist"}, "dataset: fashion-mnist has one channel"},
		{map[string]any{"dataset": "afhq"}, `dataset: unknown data set "afhq"`},
		{map[string]any{"batch_size": 1}, "batch_size: 1 is out of range"},
		{map[string]any{"beta1": 1}, "beta1: 1 is out of range: want at least 0 and less than 1"},
		{map[string]any{"train_images": 1}, "train_images: 1 is too few for batch statistics"},
		{map[string]any{"generator_features": 4096, "image_size": 256}, "generator_features: 4096 maps at 256 pixels make a layer of 1.37e+11 weights"},
		{map[string]any{"batch_size": 65536}, "use a smaller batch_size or fewer maps"},
		{map[string]any{"generator": "style", "mapping_width": 65536}, "mapping_width: 65536 makes a layer"},
		{map[string]any{"dataset": "cifar10", "image_class": "dogs"}, `image_class: cifar10 has no class "dogs"; did you mean "dog"? It has airplane, automobile`},
		{map[string]any{"dataset": "cifar10", "image_class": "dog", "train_images": 5000}, ""},
		{map[string]any{"dataset": "cifar10", "image_class": "dog", "train_images": 5001}, "train_images: cifar10 has 5,000 training images of class dog, not 5,001 (use at most 5,000, or 0 for all)"},
		{map[string]any{"dataset": "cifar10", "train_images": 50_001}, "train_images: cifar10 has 50,000 training images"},
		{map[string]any{"dataset": "cifar10", "image_class": "dog", "image_size": 16, "batch_size": 5001, "generator_features": 2, "discriminator_features": 2}, "batch_size: 5001 is more than the 5000 training images"},
		{map[string]any{"train_images": 100}, "batch_size: 128 is more than the 100 training images (use at most 100)"},
		{map[string]any{"train_images": 128}, ""},
		{map[string]any{"dataset": "shapes", "generator_features": 4096, "image_size": 256}, "generator_features: 4096 maps at 256 pixels"},
		{map[string]any{"feature_maps": 64}, "feature_maps: dcgan has no such parameter"},
	} {
		err := Validate(c.params)
		if c.want == "" && err != nil {
			t.Errorf("%v: %v", c.params, err)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%v gives %v, want %s", c.params, err, c.want)
		}
	}
}

// TestFLOPs holds the count of the report's model. (The feasibility study's, 319, lets
// the generator go forward a second time in its own step.)
func TestFLOPs(t *testing.T) {
	for generator, want := range map[string]float64{plainGenerator: 291.15, styleGenerator: 591.19} {
		c := config(t, map[string]any{"generator": generator})
		if g := c.FLOPs() / 1e9; math.Abs(g-want) > 0.01 {
			t.Errorf("a step with generator %s is %.2f GFLOP, want %v", generator, g, want)
		}
	}
}

// TestModelGradient compares the gradients of both networks with central differences of
// their losses, along the gradient of each weight.
func TestModelGradient(t *testing.T) {
	for _, generator := range []string{plainGenerator, styleGenerator} {
		t.Run(generator, func(t *testing.T) {
			m := model(t, map[string]any{"generator": generator})
			r := nn.NewRand(2)
			for _, w := range m.Params.All() { // away from the start, where gradients are tiny
				if strings.HasSuffix(w.Name, ".mean") || strings.HasSuffix(w.Name, ".variance") {
					continue
				}
				by := 0.1
				if strings.HasSuffix(w.Name, ".constant") || strings.HasSuffix(w.Name, ".strength") {
					by = 1 // a constant image that is not constant: AdaIN would blow it up
				}
				for i := range w.Data() {
					w.Data()[i] += float32(by * r.Normal())
				}
			}
			nn.Normal(1)(m.generator.input(), r)
			copy(m.step.input(), m.generator.input())
			fill(elements(m.discriminator.targets), 1)
			lossD := func() float64 {
				return lossOf(t, &m.discriminator)
			}
			lossG := func() float64 {
				if err := m.generator.run(); err != nil { // what the step reuses
					t.Fatal(err)
				}
				return lossOf(t, &m.step)
			}
			compareSlopes(t, m.d.weights, lossD)
			compareSlopes(t, m.g.weights, lossG)
		})
	}
}

func lossOf(t *testing.T, g *graph) float64 {
	t.Helper()
	if err := g.run(); err != nil {
		t.Fatal(err)
	}
	loss, err := nn.Scalar(g.loss)
	if err != nil {
		t.Fatal(err)
	}
	return loss
}

func compareSlopes(t *testing.T, weights []*nn.Trainable, loss func() float64) {
	t.Helper()
	loss()
	grads := make([][]float32, len(weights))
	for i, w := range weights {
		g, err := w.Grad()
		if err != nil {
			t.Fatal(err)
		}
		grads[i] = slices.Clone(g.Data().([]float32))
	}
	for i, w := range weights {
		saved := slices.Clone(w.Data())
		norm := 0.0
		for _, g := range grads[i] {
			norm += float64(g) * float64(g)
		}
		if norm = math.Sqrt(norm); norm < 1e-5 {
			t.Errorf("the gradient of %s is %g: nothing reaches it", w.Name(), norm)
			continue
		}
		h := min(0.001, 0.001/norm)
		at := func(sign float64) float64 {
			for j, g := range grads[i] {
				w.Data()[j] = saved[j] + float32(sign*h*float64(g)/norm)
			}
			return loss()
		}
		numeric := (at(1) - at(-1)) / (2 * h)
		copy(w.Data(), saved)
		if math.Abs(numeric-norm) > 0.05*norm+2e-4 {
			t.Errorf("%s: slope %v along the gradient, want its norm %v", w.Name(), numeric, norm)
		}
	}
}

// TestStepLearns checks what a step is for: on one batch, the discriminator comes to tell
// real from generated, and the losses are those of its verdicts.
func TestStepLearns(t *testing.T) {
	m := model(t, map[string]any{"learning_rate": 2e-3, "discriminator_features": 16})
	first, err := m.Step()
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(first.LossD-2*math.Ln2) > 0.5 || math.Abs(first.DX-0.5) > 0.2 {
		t.Errorf("the first step has loss_d %v and d_x %v, want about 1.39 and 0.5", first.LossD, first.DX)
	}
	var last Result
	for range 30 {
		fillReal(m)
		if last, err = m.Step(); err != nil {
			t.Fatal(err)
		}
	}
	if last.DX < 0.7 || last.DGZ1 > 0.4 || last.LossD > first.LossD {
		t.Errorf("after 31 steps d_x is %v, d_g_z1 %v and loss_d %v: nothing is learned", last.DX, last.DGZ1, last.LossD)
	}
}

// recorder keeps what a training reports.
type recorder struct {
	lines    []string
	metrics  map[string][]float64
	onReport func()
}

func (r *recorder) Report(step int64, metrics map[string]float64) error {
	if r.metrics == nil {
		r.metrics = map[string][]float64{}
	}
	kept := maps.Clone(metrics)
	delete(kept, "images_per_second") // depends on the clock
	r.lines = append(r.lines, fmt.Sprint(step, kept))
	for name, v := range metrics {
		r.metrics[name] = append(r.metrics[name], v)
	}
	if r.onReport != nil {
		r.onReport()
	}
	return nil
}

func (r *recorder) Progress(float64, int64) error { return nil }

// train runs a configuration from the checkpoints in a folder, and returns the bits of all weights.
func train(ctx context.Context, t *testing.T, c Config, rec *recorder, o Options) (bits []uint32, err error) {
	t.Helper()
	d, err := Open(t.Context(), &c, "")
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewModel(c)
	if err != nil {
		t.Fatal(err)
	}
	err = Train(ctx, m, d, rec, o)
	for _, w := range m.Params.All() {
		for _, v := range w.Data() {
			bits = append(bits, math.Float32bits(v))
		}
	}
	return bits, err
}

// TestWeightsDoNotDependOnThreads also holds artifacts and metrics against what they should be.
func TestWeightsDoNotDependOnThreads(t *testing.T) {
	before := kernel.Threads()
	defer kernel.SetThreads(before)
	for generator, strips := range map[string][]string{
		plainGenerator: {"interpolation-z-linear.png", "interpolation-z-spherical.png"},
		styleGenerator: {"interpolation-w-linear.png", "interpolation-w-spherical.png", "interpolation-z-linear.png", "interpolation-z-spherical.png"},
	} {
		t.Run(generator, func(t *testing.T) {
			c := config(t, small(map[string]any{"generator": generator}))
			var want []uint32
			var said []string
			for _, threads := range []int{1, 3} {
				kernel.SetThreads(threads)
				rec, dir := &recorder{}, t.TempDir()
				got, err := train(t.Context(), t, c, rec, Options{ArtifactDir: dir})
				if err != nil {
					t.Fatal(err)
				}
				if want == nil {
					want, said = got, rec.lines
				}
				if !slices.Equal(got, want) || !slices.Equal(rec.lines, said) {
					t.Errorf("weights or metrics with %d threads differ from those with one", threads)
				}
				checkPictures(t, dir, append(strips, "samples-epoch-001.png", "samples-epoch-002.png"))
			}
			// 3 steps an epoch: losses at steps 2, 4 and 6, swd after both epochs.
			if len(said) != 5 || !strings.HasPrefix(said[0], "2 map[d_g_z1:") || !strings.HasPrefix(said[1], "1 map[swd:") {
				t.Errorf("the reports are\n%s", strings.Join(said, "\n"))
			}
		})
	}
}

func checkPictures(t *testing.T, dir string, want []string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, f.Name())
		r, err := os.Open(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		picture, err := png.Decode(r)
		_ = r.Close() // only read
		if err != nil {
			t.Errorf("%s: %v", f.Name(), err)
			continue
		}
		wantWidth, wantHeight := 8*18+2, 8*18+2
		if strings.HasPrefix(f.Name(), "inter") {
			wantWidth, wantHeight = 10*18+2, 6*18+2
		}
		if b := picture.Bounds(); b.Dx() != wantWidth || b.Dy() != wantHeight {
			t.Errorf("%s has %v pixels, want %d×%d", f.Name(), b, wantWidth, wantHeight)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the artifacts are %v, want %v", got, want)
	}
}

// TestResumedEqualsUninterrupted interrupts a training after every report, and expects
// the same weights and the same reports as without.
func TestResumedEqualsUninterrupted(t *testing.T) {
	for _, generator := range []string{plainGenerator, styleGenerator} {
		c := config(t, small(map[string]any{"generator": generator, "epochs": 3, "report_every": 5}))
		whole := &recorder{}
		want, err := train(t.Context(), t, c, whole, Options{})
		if err != nil {
			t.Fatal(err)
		}
		dir, attempts := t.TempDir(), 0
		for {
			ctx, cancel := context.WithCancel(t.Context())
			rec := &recorder{}
			rec.onReport = func() {
				if len(rec.lines) > attempts {
					cancel()
				}
			}
			got, err := train(ctx, t, c, rec, Options{CheckpointDir: dir})
			cancel()
			if attempts++; attempts > 20 {
				t.Fatal("the training does not come to its end")
			}
			if errors.Is(err, context.Canceled) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) || !slices.Equal(rec.lines, whole.lines) {
				t.Errorf("%s: after %d attempts weights or reports differ from an uninterrupted run's:\n%v\n%v", generator, attempts, rec.lines, whole.lines)
			}
			if attempts < 3 {
				t.Errorf("%d attempts: the test wants interruptions", attempts)
			}
			break
		}
		more := c
		more.LearningRate = 1
		if _, err := train(t.Context(), t, more, &recorder{}, Options{CheckpointDir: dir}); err == nil || !strings.Contains(err.Error(), "learning_rate") {
			t.Errorf("a checkpoint of another training gives %v", err)
		}
	}
}

// TestArtifactsOfAttempts kills a training after each of its checkpoints. Together the attempts leave what an
// uninterrupted training leaves; the last one, which finds all epochs done, all that is drawn at the end.
func TestArtifactsOfAttempts(t *testing.T) {
	c := config(t, small(map[string]any{"epochs": 4, "sample_every": 2}))
	whole, checkpoints, last := t.TempDir(), t.TempDir(), ""
	if _, err := train(t.Context(), t, c, &recorder{}, Options{ArtifactDir: whole}); err != nil {
		t.Fatal(err)
	}
	killed, together := errors.New("killed"), map[string]string{}
	for attempt := 1; attempt <= 5; attempt++ {
		last = t.TempDir()
		_, err := train(t.Context(), t, c, &recorder{}, Options{CheckpointDir: checkpoints, ArtifactDir: last, Saved: func(string, int64) error { return killed }})
		if attempt < 5 != errors.Is(err, killed) {
			t.Fatalf("attempt %d ends with %v", attempt, err)
		}
		maps.Copy(together, contents(t, last))
	}
	checkPictures(t, last, []string{"interpolation-z-linear.png", "interpolation-z-spherical.png", "samples-epoch-004.png"})
	checkPictures(t, whole, []string{"interpolation-z-linear.png", "interpolation-z-spherical.png", "samples-epoch-002.png", "samples-epoch-004.png"})
	if want := contents(t, whole); !maps.Equal(together, want) {
		t.Errorf("the attempts leave %v, want %v, and equal bytes", slices.Sorted(maps.Keys(together)), slices.Sorted(maps.Keys(want)))
	}
}

// contents are the files of a folder, by name.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(b)
	}
	return files
}

// TestReportsItsMetrics trains, and compares the metrics with those that the trainer tells.
func TestReportsItsMetrics(t *testing.T) {
	tr := Trainer()
	for _, params := range []map[string]any{{"report_every": 1}, {"report_every": 0}, {"report_every": 1, "swd_images": 0}, {"report_every": 0, "swd_images": 0}} {
		rec := &recorder{}
		all := small(params)
		if _, err := train(t.Context(), t, config(t, all), rec, Options{}); err != nil {
			t.Fatal(err)
		}
		want, err := tr.Reports(all)
		if got := slices.Sorted(maps.Keys(rec.metrics)); err != nil || !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("%v: %v are reported, and %v are told (%v)", params, got, want, err)
		}
	}
}

func TestCancelEndsTraining(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	rec := &recorder{onReport: cancel}
	if _, err := train(ctx, t, config(t, small(map[string]any{"epochs": 1000})), rec, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled training ends with %v", err)
	}
	if len(rec.lines) != 1 {
		t.Errorf("%d reports after the cancellation", len(rec.lines)-1)
	}
}

func TestDivergenceNamesStepAndTensor(t *testing.T) {
	for _, name := range []string{"generator.8.weight", "discriminator.4.norm.gamma"} {
		m := model(t, nil)
		p, err := m.Params.Get(name, nil, shapeOf(m, name)...)
		if err != nil {
			t.Fatal(err)
		}
		p.Data()[1] = float32(math.NaN())
		_, err = m.Step()
		if !errors.Is(err, report.ErrDiverged) || !strings.Contains(err.Error(), "the discriminator's loss on") || !strings.Contains(err.Error(), "first, ") {
			t.Errorf("NaN in %s gives %v", name, err)
		}
	}
	_, err := train(t.Context(), t, config(t, small(map[string]any{"learning_rate": 1e38, "epochs": 20})), &recorder{}, Options{})
	if !errors.Is(err, report.ErrDiverged) || !strings.Contains(err.Error(), "step ") {
		t.Errorf("a huge learning rate ends with %v, want a divergence with the step", err)
	}
}

// TestDivergenceAfterTheLastStep spoils a weight of the generator after the last step, as its update could: what no
// further step would notice, the evaluation or the pictures do.
func TestDivergenceAfterTheLastStep(t *testing.T) {
	for want, images := range map[string]int{
		"step 1 (epoch 1): computing swd: diverged: ":                 8,
		"step 1 (epoch 1): drawing samples-epoch-001.png: diverged: ": 0,
	} {
		c := config(t, small(map[string]any{"train_images": 20, "batch_size": 20, "epochs": 1, "report_every": 1, "swd_images": images}))
		d, err := Open(t.Context(), &c, "")
		if err != nil {
			t.Fatal(err)
		}
		m, err := NewModel(c)
		if err != nil {
			t.Fatal(err)
		}
		rec := &recorder{onReport: func() {
			p, err := m.Params.Get("generator.8.weight", nil, shapeOf(m, "generator.8.weight")...)
			if err != nil {
				t.Fatal(err)
			}
			p.Data()[1] = float32(math.NaN())
		}}
		err = Train(t.Context(), m, d, rec, Options{ArtifactDir: t.TempDir()})
		if !errors.Is(err, report.ErrDiverged) || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "; first, weight generator.8.weight has 1 NaN") {
			t.Errorf("a spoilt weight ends the training with %v, want %s and the tensor", err, want)
		}
	}
}

func shapeOf(m *Model, name string) []int {
	for _, p := range m.Params.All() {
		if p.Name == name {
			return p.Value.Shape()
		}
	}
	return nil
}

func TestInterpolation(t *testing.T) {
	x, y := []float32{3, 0, 0}, []float32{0, 4, 0}
	dst := make([]float32, 3)
	lerp(dst, x, y, 0.25)
	if want := []float32{0.75, 3, 0}; !slices.Equal(dst, want) {
		t.Errorf("linearly a quarter is %v, want %v", dst, want)
	}
	slerp(dst, x, y, 0.5)
	if s := math.Sqrt(0.5); math.Abs(float64(dst[0])-3*s) > 1e-6 || math.Abs(float64(dst[1])-4*s) > 1e-6 {
		t.Errorf("spherically half is %v, want %v", dst, []float64{3 * s, 4 * s, 0})
	}
	for _, mix := range []mixture{lerp, slerp} {
		for a, want := range map[float64][]float32{0: y, 1: x} {
			if mix(dst, x, y, a); math.Abs(float64(dst[0]-want[0]))+math.Abs(float64(dst[1]-want[1])) > 1e-6 {
				t.Errorf("at %v the mixture is %v, want %v", a, dst, want)
			}
		}
		mix(dst, x, []float32{-3, 0, 0}, 0.5) // opposite: no arc, but numbers
		if dst[0] != 0 {
			t.Errorf("half way to the opposite is %v", dst)
		}
	}
}

func TestPixelValues(t *testing.T) {
	for v, want := range map[float32]uint8{-1: 0, 1: 255, 0: 128, -7: 0, 9: 255, float32(math.NaN()): 0, float32(math.Inf(1)): 255} {
		if got := toByte(v); got != want {
			t.Errorf("%v becomes %d, want %d", v, got, want)
		}
	}
}

// TestLoaderInterleavesPlanes pins the order of pixels and the scale.
func TestLoaderInterleavesPlanes(t *testing.T) {
	d := &data.Dataset{Name: "test", Channels: 3, Height: 1, Width: 2, Mean: []float64{.5, .5, .5}, Std: []float64{.5, .5, .5},
		Train: data.Split{Images: []uint8{0, 255, 51, 204, 102, 153}, Labels: []int{0}}}
	dst := make([]float32, 6)
	if err := (&loader{data: d}).fill(dst, d.Train, []int{0}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []float32{-1, -0.6, -0.2, 1, 0.6, 0.2} {
		if math.Abs(float64(dst[i]-want)) > 1e-6 {
			t.Fatalf("the pixels are %v", dst)
		}
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	for folder, n := range map[string]int{"train/cat": 6, "train/dog": 5, "val/cat": 2} {
		datatest.WritePictures(t, filepath.Join(dir, "pets", filepath.FromSlash(folder)), n)
	}
	for _, c := range []struct {
		params map[string]any
		want   string
	}{
		{map[string]any{"image_class": "dogs", "train_images": 2, "batch_size": 2}, `has no class "dogs"; did you mean "dog"? It has cat and dog`},
		{map[string]any{"train_images": 12, "batch_size": 12}, "has 11 training images, not 12 (use at most 11, or 0 for all)"},
		{map[string]any{"train_images": 6, "batch_size": 5, "image_class": "dog"}, "has 5 training images of class dog, not 6 (use at most 5, or 0 for all)"},
		{map[string]any{"train_images": 0, "batch_size": 6, "image_class": "dog", "swd_images": 0}, "batch_size: 6 is more than the 5 training images (use at most 5)"},
		{map[string]any{"train_images": 0, "batch_size": 5, "image_class": "dog"}, "no held-out images"},
	} {
		c.params["dataset"] = "folder:pets"
		set, err := data.Find("folder:pets", dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckData(small(c.params), set); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v of the set that is found gives %v, want %q", c.params, err, c.want)
		}
		conf := config(t, small(c.params))
		if _, err := Open(t.Context(), &conf, dir); !errors.Is(err, report.ErrSpec) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v gives %v, want a spec error with %q", c.params, err, c.want)
		}
	}
	conf := config(t, small(map[string]any{"image_class": "star", "train_images": 40}))
	d, err := Open(t.Context(), &conf, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range d.Train.Labels {
		if d.Classes[l] != "star" {
			t.Fatalf("an image of class %s is among the stars", d.Classes[l])
		}
	}
	if d.Train.Len() != 40 || d.Test.Len() == 0 || len(d.Train.Images) != 40*16*16*3 {
		t.Errorf("%d training and %d test images", d.Train.Len(), d.Test.Len())
	}
}

func TestCrop(t *testing.T) {
	datatest.CheckCrop(t, func(dir, crop string) (*data.Dataset, checkpoint.Identity) {
		t.Helper()
		c := config(t, small(map[string]any{"dataset": "folder:ramps", "train_images": 0, "batch_size": 2, "crop": crop}))
		d, err := Open(t.Context(), &c, dir)
		if err != nil {
			t.Fatal(err)
		}
		return d, identity(&c, d)
	})
}

// TestSWDSeesEveryClass: held-out images that are stored class by class, as an image
// folder's are, have their part in swd whatever their class.
func TestSWDSeesEveryClass(t *testing.T) {
	measure := func(spoil string) float64 {
		t.Helper()
		conf := config(t, small(map[string]any{"swd_images": 20}))
		d, err := Open(t.Context(), &conf, "")
		if err != nil {
			t.Fatal(err)
		}
		sorted := data.Split{}
		for label, class := range d.Classes {
			for i, l := range d.Test.Labels {
				if l != label {
					continue
				}
				sorted.Images = append(sorted.Images, d.Image(d.Test, i)...)
				sorted.Labels = append(sorted.Labels, l)
				if class == spoil {
					clear(sorted.Images[len(sorted.Images)-d.ImageLen():])
				}
			}
		}
		d.Test = sorted
		m, err := NewModel(conf)
		if err != nil {
			t.Fatal(err)
		}
		q, err := newQuality(m, d)
		if err != nil {
			t.Fatal(err)
		}
		distance, err := q.measure(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return distance
	}
	whole := measure("")
	for _, class := range []string{"circle", "square", "star"} {
		if measure(class) == whole {
			t.Errorf("swd is the same with all of class %s black", class)
		}
	}
}

// TestRun trains through the trainer protocol.
func TestRun(t *testing.T) {
	before := kernel.Threads()
	defer kernel.SetThreads(before)
	dir := t.TempDir()
	run := func(params map[string]any) error {
		b, err := json.Marshal(params)
		if err != nil {
			t.Fatal(err)
		}
		s, err := report.NewSession(b, dir, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		s.ReportPath = filepath.Join(dir, "report.jsonl")
		err = Run(t.Context(), s)
		return errors.Join(err, s.Close())
	}
	if err := run(small(map[string]any{"threads": 1})); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "report.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"loss_d":`, `"loss_g":`, `"d_x":`, `"d_g_z1":`, `"d_g_z2":`, `"images_per_second":`, `"swd":`, `"progress":1`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("the report lacks %s:\n%s", want, b)
		}
	}
	if err := run(map[string]any{"image_size": 20}); !errors.Is(err, report.ErrSpec) {
		t.Errorf("a wrong image size ends with %v, want a spec error", err)
	}
	var missing *data.MissingError
	if err := run(map[string]any{"dataset": "folder:nowhere"}); !errors.As(err, &missing) {
		t.Errorf("training without the data set ends with %v, want a data.MissingError", err)
	}
}

// BenchmarkStep measures a step of the report's configuration.
func BenchmarkStep(b *testing.B) {
	for _, generator := range []string{plainGenerator, styleGenerator} {
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/threads=%d", generator, threads), func(b *testing.B) {
				before := kernel.Threads()
				defer kernel.SetThreads(before)
				kernel.SetThreads(threads)
				c := config(b, map[string]any{"generator": generator})
				m, err := NewModel(c)
				if err != nil {
					b.Fatal(err)
				}
				fillReal(m)
				if _, err := m.Step(); err != nil { // touches all memory
					b.Fatal(err)
				}
				for b.Loop() {
					if _, err := m.Step(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(c.FLOPs()*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}

package bench

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"swath/trainer/dcgan"
	"swath/trainer/vit"
)

// tiny are parameters of a ViT that makes a step in a millisecond.
func tiny() map[string]any {
	return map[string]any{"image_size": 16, "patch_size": 8, "embed_dim": 12, "heads": 3, "encoder_layers": 2, "mlp_dim": 16, "batch_size": 4}
}

func TestRunMeasuresTheTrainersModel(t *testing.T) {
	for _, all := range []bool{false, true} {
		testTrainersModel(t, all)
	}
}

func testTrainersModel(t *testing.T, allTokens bool) {
	before := runtime.GOMAXPROCS(0)
	r, err := Run(context.Background(), Options{Model: "vit", Params: tiny(), Threads: 1, Steps: 3, AllTokens: allTokens})
	if err != nil {
		t.Fatal(err)
	}
	c, err := vit.NewConfig(tiny())
	if err != nil {
		t.Fatal(err)
	}
	c.AllTokens = allTokens
	if got, want := r.StepGFLOP*1e9, c.FLOPs(); math.Abs(got-want) > 1e3 {
		t.Errorf("a step is %v operations, want the trainer's %v", got, want)
	}
	if r.Model != "vit" || r.Threads != 1 || r.Steps != 3 || r.Kernel == "" {
		t.Errorf("result is of another run: %+v", r)
	}
	if r.StepMS <= 0 || r.GFLOPS <= 0 || r.PeakFraction < 0 || r.PeakFraction > 1 || r.RSSMB <= 1 {
		t.Errorf("figures that cannot be: %+v", r)
	}
	if after := runtime.GOMAXPROCS(0); after != before {
		t.Errorf("the process is left with %d processors, had %d", after, before)
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"model":"vit","threads":1,"step_ms":`; !strings.HasPrefix(string(b), want) {
		t.Errorf("JSON is %s, want it to start with %s", b, want)
	}
}

// TestGANWork compares the formula with the layers of the DCGAN paper, written out.
func TestGANWork(t *testing.T) {
	c, err := dcgan.NewConfig(map[string]any{"batch_size": 2})
	if err != nil {
		t.Fatal(err)
	}
	g := 100*16*512 + 16*(16*512*256+64*256*128+256*128*64+1024*64*3)
	toImage := 16 * 1024 * 64 * 3
	d := toImage + 16*(256*128*64+64*256*128+16*512*256) + 16*512
	want := 2 * 2 * float64(3*g-100*16*512+2*(3*d-toImage)+2*d)
	if got := ganFLOPs(&c); got != want {
		t.Errorf("a step of the plain generator is %v operations, want %v", got, want)
	}

	c, err = dcgan.NewConfig(map[string]any{"batch_size": 2, "generator": "style", "image_size": 16, "generator_features": 4, "mapping_depth": 3, "mapping_width": 10})
	if err != nil {
		t.Fatal(err)
	}
	d = 16*(64*64*3+16*128*64) + 16*128
	styles := 10*2*(8+8) + 10*2*(4+4) + 10*2*(2+2)
	g = 100*10 + 2*10*10 + styles + 9*(16*8*8+64*(8*4+4*4)+256*(4*2+2*2)) + 256*2*3
	want = 2 * 2 * float64(3*g-100*10+2*(3*d-16*64*64*3)+2*d)
	if got := ganFLOPs(&c); got != want {
		t.Errorf("a step of the style generator is %v operations, want %v", got, want)
	}
}

func TestRunMeasuresTheGAN(t *testing.T) {
	for _, generator := range []string{"dcgan", "style"} {
		params := map[string]any{"generator": generator, "image_size": 16, "latent_dim": 4, "generator_features": 2, "discriminator_features": 2,
			"mapping_depth": 2, "mapping_width": 8, "batch_size": 4}
		r, err := Run(context.Background(), Options{Model: "dcgan", Params: params, Threads: 1, Steps: 2})
		if err != nil {
			t.Fatal(err)
		}
		if r.Model != "dcgan" || r.StepMS <= 0 || r.GFLOPS <= 0 {
			t.Errorf("%s: figures that cannot be: %+v", generator, r)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	for _, test := range []struct {
		name string
		o    Options
		want string
	}{
		{"no such model", Options{Model: "resnet", Steps: 1}, `model "resnet": there is no benchmark of it; there is`},
		{"no steps", Options{Model: "vit"}, "0 steps: want at least 1"},
		{"too many threads", Options{Model: "vit", Steps: 1, Threads: 5000}, "5000 threads"},
		{"tokens of a GAN", Options{Model: "dcgan", Steps: 1, AllTokens: true}, "it has no tokens"},
		{"bad parameter", Options{Model: "vit", Steps: 1, Params: map[string]any{"heads": 7}}, "7 does not divide embed_dim 240"},
		{"unknown parameter", Options{Model: "vit", Steps: 1, Params: map[string]any{"head": 7}}, `did you mean "heads"?`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := Run(context.Background(), test.o); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %q in it", err, test.want)
			}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, Options{Model: "vit", Params: tiny(), Steps: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("error of a run that was ended is %v, want the context's", err)
	}
}

func TestMeasureEndsWithTheLoss(t *testing.T) {
	n := 0
	step := func() (float64, error) {
		n++
		if n == 3 {
			return math.NaN(), nil
		}
		return 1, nil
	}
	if _, err := measure(context.Background(), step, 5); err == nil || !strings.Contains(err.Error(), "NaN at step 3") {
		t.Errorf("error is %v, want the step at which the loss was NaN", err)
	}
	broken := errors.New("broken")
	_, err := measure(context.Background(), func() (float64, error) { return 0, broken }, 1)
	if !errors.Is(err, broken) {
		t.Errorf("error is %v, want the step's", err)
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		times []time.Duration
		want  time.Duration
	}{
		{[]time.Duration{7}, 7},
		{[]time.Duration{9, 1, 5}, 5},
		{[]time.Duration{9, 1, 5, 7}, 6},
	} {
		if got := median(test.times); got != test.want {
			t.Errorf("median of %v is %d, want %d", test.times, got, test.want)
		}
	}
}

func TestParams(t *testing.T) {
	got, err := Params(vit.Params(), []string{"patch_size=8", "dropout=0.25", "optimizer=sgd", "learning_rate=1e-3", "dataset=7", "new=x"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"patch_size": 8.0, "dropout": 0.25, "optimizer": "sgd", "learning_rate": 1e-3, "dataset": "7", "new": "x"}
	if len(got) != len(want) {
		t.Fatalf("parameters are %v, want %v", got, want)
	}
	for name, w := range want {
		if got[name] != w {
			t.Errorf("%s is %v (%T), want %v (%T)", name, got[name], got[name], w, w)
		}
	}
	for _, bad := range []string{"patch_size", "=3", "threads=2"} {
		if _, err := Params(vit.Params(), []string{bad}); err == nil {
			t.Errorf("parameter %q is accepted", bad)
		}
	}
	if _, err := Params(vit.Params(), []string{"heads=3", "heads=4"}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("error of a parameter given twice is %v", err)
	}
}

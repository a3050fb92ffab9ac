// Package bench measures how fast the built-in trainers train on this machine.
//
// Vocabulary. A step is what a trainer does for one batch: forward, backward, update
// (for a GAN, of both networks). Its work is the floating-point operations of its
// matrix products and convolutions, two for a multiplication and addition; what else
// a step does counts as time, not as work. The peak is the rate of fused
// multiply-adds that the processor reaches when it does nothing else. The operations
// are those of the definition: an algorithm that needs fewer may exceed the peak.
//
// Rules. What is measured is the trainers' own code, on images of noise, so that no
// data set is needed and reading one is not part of the figure. The processors are
// limited to the threads asked for, the garbage collector's included, so that a
// figure for one thread is one core's. Nothing here is deterministic but the work.
package bench

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"

	"swath/trainer"
	"swath/trainer/nn/kernel"
)

// warmup is how many steps precede the measured ones: they allocate the memory and
// fill the caches.
const warmup = 2

// Options say what to measure.
type Options struct {
	Model   string         // a name of [Models]
	Params  map[string]any // the trainer's parameters, as in a trial; what is not there has its default
	Threads int            // to compute with; 0: all processors
	Steps   int            // to measure, at least 1

	// AllTokens makes the vit compute the last encoder layer for every token, as its
	// equations are written, rather than for the class token alone, as the trainer does.
	AllTokens bool
}

// Result is what a training came to. Its JSON form is what the PyTorch programs in
// bench/torch print, too.
type Result struct {
	Model        string  `json:"model"`
	Threads      int     `json:"threads"`
	StepMS       float64 `json:"step_ms"`       // median time of a step, in milliseconds
	GFLOPS       float64 `json:"gflops"`        // work of a step by that time, in 10⁹ operations a second
	PeakFraction float64 `json:"peak_fraction"` // of the measured peak of as many threads; 0 where kernel.Peak knows none
	RSSMB        float64 `json:"rss_mb"`        // the process's highest resident memory, in 10⁶ bytes
	Steps        int     `json:"steps"`         // measured
	StepGFLOP    float64 `json:"step_gflop"`    // work of a step, in 10⁹ operations
	Kernel       string  `json:"kernel"`        // kernel set in use
}

// Run builds the model and measures its steps. The error is the context's if that ended
// the run, and otherwise tells of options or parameters that cannot work.
//
// It sets the number of threads of the whole process while it runs.
func Run(ctx context.Context, o Options) (Result, error) {
	if o.Threads < 0 || o.Threads > 4096 {
		return Result{}, fmt.Errorf("%d threads: want 1 to 4096, or 0 for all processors", o.Threads)
	}
	if o.Steps < 1 {
		return Result{}, fmt.Errorf("%d steps: want at least 1 to measure", o.Steps)
	}
	build, ok := models[o.Model]
	if !ok {
		return Result{}, fmt.Errorf("model %q: there is no benchmark of it; there is %s", o.Model, strings.Join(Models(), ", "))
	}
	if err := kernel.Use(); err != nil {
		return Result{}, fmt.Errorf("choosing numeric kernels: %w", err)
	}
	threads := trainer.Threads(o.Threads, 0)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads))
	kernel.SetThreads(threads)
	defer kernel.SetThreads(0)

	m, err := build(o)
	if err != nil {
		return Result{}, fmt.Errorf("model %s: %w", o.Model, err)
	}
	// A noisy neighbour lowers the peak as well as the step; before and after, the
	// better one is nearer to the truth.
	peak := kernel.Peak(threads)
	median, err := measure(ctx, m.step, o.Steps)
	if err != nil {
		return Result{}, fmt.Errorf("model %s: %w", o.Model, err)
	}
	peak = max(peak, kernel.Peak(threads))

	r := Result{
		Model: o.Model, Threads: threads, Steps: o.Steps, Kernel: kernel.Kernel(),
		StepMS:    round(float64(median)/1e6, 3),
		GFLOPS:    round(m.flops/float64(median), 2), // operations a nanosecond
		StepGFLOP: round(m.flops/1e9, 6),
	}
	if peak > 0 {
		r.PeakFraction = round(m.flops/float64(median)/peak, 4)
	}
	rss, err := peakMemory()
	if err != nil {
		return Result{}, err
	}
	r.RSSMB = round(float64(rss)/1e6, 1)
	return r, nil
}

// measure returns the median time of n steps, after the warm-up.
func measure(ctx context.Context, step func() (loss float64, err error), n int) (time.Duration, error) {
	var times []time.Duration
	for i := range warmup + n {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		start := time.Now()
		loss, err := step()
		took := time.Since(start)
		if err != nil {
			return 0, fmt.Errorf("step %d: %w", i+1, err)
		}
		if math.IsNaN(loss) || math.IsInf(loss, 0) {
			// Arithmetic with NaN may be faster or slower; the figure would mean nothing.
			return 0, fmt.Errorf("the loss is %v at step %d: measure with a smaller learning rate", loss, i+1)
		}
		if i >= warmup {
			times = append(times, took)
		}
	}
	return median(times), nil
}

// median is the middle one of the times, or the mean of the two in the middle.
func median(times []time.Duration) time.Duration {
	times = slices.Clone(times)
	slices.Sort(times)
	n := len(times)
	return (times[(n-1)/2] + times[n/2]) / 2
}

// round rounds to a number of decimals.
func round(x float64, decimals int) float64 {
	f := math.Pow10(decimals)
	return math.Round(x*f) / f
}

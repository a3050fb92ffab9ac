// Package fake is a trainer that trains nothing: it reports curves that can be
// calculated, and misbehaves on request. Tests of everything around trainers use it, and
// a user who wants to see a sweep run without waiting.
//
// It reports loss and accuracy at steps 1, 2, …, steps. The final loss is a function of the
// trial's other parameters, so that a sweep over them has a known best trial: see [Final].
//
// Parameters, all optional:
//
//	steps        how many steps; 10
//	step_ms      milliseconds of sleep before each step; 0
//	curve        bowl: the loss falls linearly to its final value; flat: it is there
//	             at once; noisy: bowl with noise of the seed, none at the last step
//	seed         of the noise; 0
//	print        true: metrics go to standard output as name=value, not to the report
//	exit_code    exit with this code after the last step; 0
//	crash_at     attempts up to this number fail half way; 0
//	diverge_at   the loss becomes NaN at this step, and the trainer ends as diverged
//	hang         true: never end after the last step, until stopped
//	ignore_term  true: SIGTERM does not end it
//	garbage      so many lines of garbage are written to the report file; 0
//	memory       so many MiB are allocated and touched; 0
//	message      is printed on standard error at the end
//
// Every other parameter is a coordinate of the search space: numbers enter the final loss,
// anything else is accepted and ignored.
package fake

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"swath/trainer/report"
)

// knobs are the parameters with a meaning of their own.
type knobs struct {
	Steps      int64
	StepMS     float64
	Curve      string
	Seed       int64
	Print      bool
	ExitCode   int
	CrashAt    int
	DivergeAt  int64
	Hang       bool
	IgnoreTerm bool
	Garbage    int
	Memory     int
	Message    string

	loss float64 // the final one
}

// fields lists the parameters and where each goes.
func (k *knobs) fields() map[string]any {
	return map[string]any{
		"steps": &k.Steps, "step_ms": &k.StepMS, "curve": &k.Curve, "seed": &k.Seed, "print": &k.Print,
		"exit_code": &k.ExitCode, "crash_at": &k.CrashAt, "diverge_at": &k.DivergeAt, "hang": &k.Hang,
		"ignore_term": &k.IgnoreTerm, "garbage": &k.Garbage, "memory": &k.Memory, "message": &k.Message,
	}
}

// Curves lists the values of the parameter curve.
func Curves() []string { return []string{"bowl", "flat", "noisy"} }

// Validate reports whether the trainer can work with the parameters. Its errors wrap
// [report.ErrSpec] and name the parameter.
func Validate(params map[string]any) error {
	_, err := read(params)
	return err
}

// Final returns the loss and the accuracy that the trainer reports at its last step: the
// loss is the sum of (x - 0.5)² over the numeric parameters x that are no knobs, the
// accuracy 1/(1+loss).
func Final(params map[string]any) (loss, accuracy float64) {
	knob := new(knobs).fields()
	for _, name := range slices.Sorted(maps.Keys(params)) { // a sum in a fixed order
		if _, ok := knob[name]; ok {
			continue
		}
		if x, ok := number(params[name]); ok {
			loss += (x - 0.5) * (x - 0.5)
		}
	}
	return loss, accuracyOf(loss)
}

func accuracyOf(loss float64) float64 { return 1 / (1 + loss) }

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	case int:
		return float64(v), true
	}
	return 0, false
}

// read decodes and checks the knobs.
func read(params map[string]any) (knobs, error) {
	k := knobs{Steps: 10, Curve: "bowl"}
	fields := k.fields()
	for _, name := range slices.Sorted(maps.Keys(fields)) { // the first error, always the same
		v, ok := params[name]
		if !ok {
			continue
		}
		// JSON does the conversions: 3.0 is an integer, 3.5 and "3" are none.
		b, err := json.Marshal(v)
		if err == nil {
			err = json.Unmarshal(b, fields[name])
		}
		if err != nil {
			return k, fmt.Errorf("%w: %s: cannot be %v", report.ErrSpec, name, v)
		}
	}
	bad := func(name string, v any, want string) error {
		return fmt.Errorf("%w: %s is %v: want %s", report.ErrSpec, name, v, want)
	}
	switch {
	case k.Steps < 0:
		return k, bad("steps", k.Steps, "0 or more")
	case !(k.StepMS >= 0) || k.StepMS > float64(math.MaxInt64/int64(time.Millisecond)):
		return k, bad("step_ms", k.StepMS, "0 or more")
	case !slices.Contains(Curves(), k.Curve):
		return k, bad("curve", k.Curve, "one of "+strings.Join(Curves(), ", "))
	case k.ExitCode < 0 || k.ExitCode > 255:
		return k, bad("exit_code", k.ExitCode, "0 to 255")
	case k.CrashAt < 0:
		return k, bad("crash_at", k.CrashAt, "0 or more")
	case k.DivergeAt < 0:
		return k, bad("diverge_at", k.DivergeAt, "0 (never) or more")
	case k.Garbage < 0:
		return k, bad("garbage", k.Garbage, "0 or more")
	case k.Memory < 0 || k.Memory > 1<<20:
		return k, bad("memory", k.Memory, "0 to 1048576 (MiB)")
	}
	k.loss, _ = Final(params)
	return k, nil
}

// exitError is a failure with an exit code of its own.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit_code is %d", int(e)) }

// ExitCode is how [report.Session.Finish] finds the code.
func (e exitError) ExitCode() int { return int(e) }

// Run runs the trainer that the session's parameters describe. It returns early when ctx
// ends, unless it ignores that; hand the error to [report.Session.Finish].
func Run(ctx context.Context, s *report.Session) error {
	var params map[string]any
	if err := json.Unmarshal(s.Params, &params); err != nil {
		return fmt.Errorf("%w: not a JSON object: %w", report.ErrSpec, err)
	}
	k, err := read(params)
	if err != nil {
		return err
	}
	if k.IgnoreTerm {
		signal.Ignore(syscall.SIGTERM)
		ctx = context.WithoutCancel(ctx)
	}
	memory := touch(k.Memory)
	if err := writeGarbage(s.ReportPath, k.Garbage); err != nil {
		return err
	}
	for step := int64(1); step <= k.Steps; step++ {
		if err := sleep(ctx, time.Duration(k.StepMS*float64(time.Millisecond))); err != nil {
			return err
		}
		if s.Attempt <= k.CrashAt && step > k.Steps/2 {
			return fmt.Errorf("crash_at is %d, and this is attempt %d", k.CrashAt, s.Attempt)
		}
		loss := k.at(step)
		put := s.Report
		if k.Print {
			put = s.Print
		}
		if err := put(step, map[string]float64{"loss": loss, "accuracy": accuracyOf(loss)}); err != nil {
			return err
		}
		if step == k.DivergeAt {
			return fmt.Errorf("step %d: the loss is NaN: %w", step, report.ErrDiverged)
		}
		if err := s.Progress(float64(step)/float64(k.Steps), step); err != nil {
			return err
		}
	}
	if k.Message != "" {
		fmt.Fprintln(os.Stderr, k.Message)
	}
	if k.Hang {
		// A timer keeps the runtime from taking a wait that nothing can end for a
		// deadlock, when SIGTERM is ignored.
		for {
			if err := sleep(ctx, time.Hour); err != nil {
				return err
			}
		}
	}
	if k.ExitCode != 0 {
		return exitError(k.ExitCode)
	}
	runtime.KeepAlive(memory)
	return nil
}

// at returns the loss at a step: the final one plus what is still to go.
func (k knobs) at(step int64) float64 {
	if step == k.DivergeAt {
		return math.NaN()
	}
	left := 1 - float64(step)/float64(k.Steps)
	switch k.Curve {
	case "flat":
		return k.loss
	case "noisy":
		h := fnv.New64a()
		fmt.Fprintf(h, "%d/%d", k.Seed, step)
		noise := float64(h.Sum64()>>11)/(1<<53) - 0.5
		return k.loss + left*(1+noise)
	default:
		return k.loss + left
	}
}

// touch allocates memory and writes to every page of it.
func touch(mib int) []byte {
	b := make([]byte, mib<<20)
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	return b
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// writeGarbage appends lines to the report file that no reader can use.
func writeGarbage(path string, n int) error {
	if n == 0 || path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("write garbage: %w", err)
	}
	kinds := []string{"not JSON\n", "{\"loss\":\n", "[1,2,3]\n", "\xff\x00\xfe\n", "{\"note\":\"nothing\"}\n"}
	for i := range n {
		if _, err = f.WriteString(kinds[i%len(kinds)]); err != nil {
			break
		}
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write garbage: %w", err)
	}
	return nil
}

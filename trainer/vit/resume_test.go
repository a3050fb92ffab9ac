package vit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"swath/trainer/checkpoint"
	"swath/trainer/nn"
	"swath/trainer/nn/kernel"
)

// countdown is a context that is cancelled when it has been asked often enough, which is
// before each step and each batch of an evaluation.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// attempt runs a training with a fresh model, from the checkpoints in dir. It returns the
// bits of the weights and what was reported, without what depends on the clock.
func attempt(ctx context.Context, t *testing.T, c Config, dir string, rec *recorder) (weights []uint32, said string, err error) {
	t.Helper()
	d, err := Open(t.Context(), &c, "")
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewModel(c)
	if err != nil {
		t.Fatal(err)
	}
	err = Train(ctx, m, d, rec, Options{CheckpointDir: dir})
	var b strings.Builder
	for i, metrics := range rec.metrics {
		delete(metrics, "images_per_second")
		fmt.Fprintln(&b, rec.steps[i], metrics)
	}
	return weightBits(m), b.String(), err
}

// elaborate is a training that uses everything whose state a checkpoint must carry: 3
// steps an epoch, the last of them incomplete.
func elaborate(t *testing.T, more map[string]any) Config {
	all := map[string]any{"epochs": 4, "dropout": 0.2, "augment": "flip_crop", "schedule": "cosine", "warmup_epochs": 1.5, "probe_layers": true, "report_every": 2}
	for k, v := range more {
		all[k] = v
	}
	return tiny(t, all)
}

func TestResumedEqualsUninterrupted(t *testing.T) {
	before := kernel.Threads()
	defer kernel.SetThreads(before)
	for name, params := range map[string]map[string]any{
		"adamw": {"optimizer": "adamw", "weight_decay": 0.1},
		"sgd":   {"optimizer": "sgd", "learning_rate": 0.01, "checkpoint_every": 2},
	} {
		t.Run(name, func(t *testing.T) {
			c := elaborate(t, params)
			want, wantSaid, err := attempt(t.Context(), t, c, t.TempDir(), &recorder{})
			if err != nil {
				t.Fatal(err)
			}
			for i := range 5 {
				// Interrupted again and again, each time a little further on, by an interruption that is noticed (the
				// context ends) or by one that is not (as if the process died).
				dir, r := t.TempDir(), nn.NewRand(uint64(i), 7)
				var got []uint32
				var said string
				attempts := 0
				for err = context.Canceled; err != nil; attempts++ {
					kernel.SetThreads(1 + attempts%3)
					ctx := &countdown{t.Context(), 1 + r.Intn(12)}
					rec := &recorder{}
					if r.Intn(2) == 0 {
						ctx.left, rec.failAfter = 1000, 1+len(kept(t, dir))+r.Intn(6)
					}
					got, said, err = attempt(ctx, t, c, dir, rec)
					if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, errReport) {
						t.Fatal(err)
					}
					if attempts > 100 {
						t.Fatal("the training does not come to its end")
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("weights after %d attempts differ from those of an uninterrupted run", attempts)
				}
				if said != wantSaid {
					t.Errorf("the last of %d attempts reports\n%s\nwant\n%s", attempts, said, wantSaid)
				}
				if files := kept(t, dir); len(files) > 2 {
					t.Errorf("%d checkpoints are kept", len(files))
				}
			}
		})
	}
}

// kept returns what is in a checkpoint folder.
func kept(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestResumeFromTheCheckpointBefore(t *testing.T) {
	c := elaborate(t, nil)
	dir := t.TempDir()
	want, wantSaid, err := attempt(t.Context(), t, c, dir, &recorder{})
	if err != nil {
		t.Fatal(err)
	}
	files := kept(t, dir)
	if len(files) != 2 {
		t.Fatalf("the folder holds %v", files)
	}
	if err := os.Truncate(files[1], 1000); err != nil {
		t.Fatal(err)
	}
	d, err := Open(t.Context(), &c, "")
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewModel(c)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	artifacts := t.TempDir()
	rec := &recorder{}
	if err := Train(t.Context(), m, d, rec, Options{CheckpointDir: dir, ArtifactDir: artifacts, Log: slog.New(slog.NewTextHandler(&log, nil))}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(weightBits(m), want) {
		t.Error("going on from the checkpoint before the last gives other weights")
	}
	for _, said := range []string{"skipping checkpoint " + files[1], "checksum", "going on from a checkpoint", "epoch=4"} {
		if !strings.Contains(log.String(), said) {
			t.Errorf("the log does not say %q:\n%s", said, &log)
		}
	}

	// A training that had ended trains no more, but says all again and leaves its artifacts.
	for _, name := range kept(t, artifacts) {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	rec = &recorder{}
	if m, err = NewModel(c); err != nil {
		t.Fatal(err)
	}
	if err := Train(t.Context(), m, d, rec, Options{CheckpointDir: dir, ArtifactDir: artifacts}); err != nil {
		t.Fatal(err)
	}
	if strings.Count(wantSaid, "\n") != len(rec.steps) || !slices.Equal(weightBits(m), want) {
		t.Errorf("a training that had ended reports %v", rec.metrics)
	}
	if n := len(kept(t, artifacts)); n != 3 {
		t.Errorf("a training that had ended leaves %d artifacts", n)
	}
}

func TestResumeRefusesAnotherTraining(t *testing.T) {
	dir := t.TempDir()
	first := tiny(t, map[string]any{"epochs": 2})
	if _, _, err := attempt(t.Context(), t, first, dir, &recorder{}); err != nil {
		t.Fatal(err)
	}
	for want, params := range map[string]map[string]any{
		"its patch_size is 8, here it is 4":                                       {"patch_size": 4},
		"it does not know crop, which is none here":                               {"crop": "none"},
		"its seed is 5, here it is 6":                                             {"seed": 6},
		"its images is 50 and 20":                                                 {"train_images": 40},
		"it does not know epochs, which is 1 here, its schedule is constant":      {"schedule": "cosine"},
		"it is 2 epochs old, and only 1 are asked for":                            {"epochs": 1},
		"its learning_rate is 0.001, here it is 0.01, its mlp_dim is 16, here it": {"learning_rate": 0.01, "mlp_dim": 8},
	} {
		_, _, err := attempt(t.Context(), t, tiny(t, params), dir, &recorder{})
		var mismatch *checkpoint.MismatchError
		if err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, &mismatch) && params["epochs"] == nil {
			t.Errorf("%v ends with %v, want %q", params, err, want)
		}
	}
	// More epochs, other threads: it goes on, to what a training of that length comes to.
	longer := tiny(t, map[string]any{"epochs": 3, "threads": 1, "checkpoint_every": 1})
	got, said, err := attempt(t.Context(), t, longer, dir, &recorder{})
	if err != nil {
		t.Fatal(err)
	}
	want, wantSaid, err := attempt(t.Context(), t, longer, t.TempDir(), &recorder{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) || said != wantSaid {
		t.Errorf("two epochs and one more report\n%s, three\n%s", said, wantSaid)
	}
}

// TestRestoreChecks feeds a training checkpoints of its own identity whose contents do not fit.
func TestRestoreChecks(t *testing.T) {
	c := tiny(t, nil)
	for want, change := range map[string]func(*checkpoint.Checkpoint){
		"reading the state of the training":             func(s *checkpoint.Checkpoint) { s.State = []byte(`[]`) },
		"step 3 cannot be step 1 of epoch 7":            func(s *checkpoint.Checkpoint) { s.State = []byte(`{"position":{"Epoch":7,"Done":1}}`) },
		"the checkpoint has no tensor head.bias":        func(s *checkpoint.Checkpoint) { rename(s, "head.bias") },
		"the checkpoint has no tensor head.bias/adam.v": func(s *checkpoint.Checkpoint) { rename(s, "head.bias/adam.v") },
	} {
		dir := t.TempDir()
		if _, _, err := attempt(t.Context(), t, c, dir, &recorder{}); err != nil {
			t.Fatal(err)
		}
		d, err := Open(t.Context(), &c, "")
		if err != nil {
			t.Fatal(err)
		}
		folder := checkpoint.Folder{Path: dir, Identity: identity(&c, d)}
		s, _, err := folder.Latest()
		if err != nil {
			t.Fatal(err)
		}
		change(s)
		if err := folder.Save(s); err != nil {
			t.Fatal(err)
		}
		_, _, err = attempt(t.Context(), t, c, dir, &recorder{})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "going on from the checkpoint of step 3 in "+dir) {
			t.Errorf("restoring gives %v, want %q", err, want)
		}
	}
}

func rename(s *checkpoint.Checkpoint, name string) {
	for i := range s.Tensors {
		if s.Tensors[i].Name == name {
			s.Tensors[i].Name = "other"
		}
	}
}

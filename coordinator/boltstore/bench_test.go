package boltstore

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"swath/coordinator"
	"swath/coordinator/dispatch"
	"swath/sweeps"
)

var benchEpoch = time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)

// benchTrial returns the row of a typical trial: six parameters, four metrics.
func benchTrial(index int64, state sweeps.TrialState) *sweeps.Trial {
	t := &sweeps.Trial{
		TrialKey: sweeps.TrialKey{Sweep: "01hzy3xk5v8m2q", Index: index},
		ID:       sweeps.TrialID(fmt.Sprintf("%016x", uint64(index+1)*0x9e3779b97f4a7c15)),
		Params: sweeps.Params{
			"lr": 0.001 + float64(index)*1e-7, "patch_size": int64(4), "heads": int64(8),
			"depth": int64(12), "dropout": 0.1, "optimizer": "adamw",
		},
		State: state, Attempt: 1, Worker: "5f0c9a3e7d21b468", WorkerName: "node-17", Assigned: benchEpoch,
	}
	if state.Terminal() {
		t.Started, t.Ended = benchEpoch.Add(time.Millisecond), benchEpoch.Add(time.Second)
		t.Outcome.Class = sweeps.ClassOK
		t.Metrics = map[string]sweeps.Summary{}
		for _, name := range []string{"train_loss", "train_accuracy", "test_loss", "test_accuracy"} {
			t.Metrics[name] = sweeps.Summary{Count: 50, Last: 0.5, LastStep: 49, Min: 0.25, MinStep: 40, Max: 2.3}
		}
	}
	return t
}

// BenchmarkCommit writes trials as a coordinator does: each batch of 500 trials is
// committed when they are handed out, and again when they have ended.
func BenchmarkCommit(b *testing.B) {
	for _, sync := range []bool{true, false} {
		b.Run(fmt.Sprintf("sync=%v", sync), func(b *testing.B) {
			const batch = 500
			s := openBench(b, !sync)
			sw := &sweeps.Sweep{ID: "01hzy3xk5v8m2q", Name: "bench", Source: make([]byte, 2000), State: sweeps.SweepRunning}
			next := int64(0)
			b.ReportAllocs()
			for b.Loop() {
				for _, state := range []sweeps.TrialState{sweeps.TrialRunning, sweeps.TrialFinished} {
					c := dispatch.Changes{Sweeps: []*sweeps.Sweep{sw}}
					for i := range int64(batch) {
						c.Trials = append(c.Trials, benchTrial(next+i, state))
					}
					if err := s.State.Commit(c); err != nil {
						b.Fatal(err)
					}
				}
				next += batch
			}
			b.ReportMetric(float64(2*next)/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64(next)/b.Elapsed().Seconds(), "trials/s")
			b.ReportMetric(diskBytes(b, s, 0)/float64(next), "B/trial")
		})
	}
}

// benchPoint returns a point of a typical training run that logs every 50 ms or so: a
// loss that was a float32, and an accuracy printed with four decimals.
func benchPoint(r *rand.Rand, at *time.Time, seq int) sweeps.Point {
	step := seq / 2
	p := sweeps.Point{Step: int64(step), Time: *at}
	if seq%2 == 0 {
		*at = at.Add(50*time.Millisecond + time.Duration(r.NormFloat64()*3e6))
		p.Time = *at
		p.Metric, p.Value = "train_loss", float64(float32((2*math.Exp(-float64(step)/5000)+0.3)*(1+0.1*r.NormFloat64())))
	} else {
		p.Metric, p.Value = "train_accuracy", math.Round((1-math.Exp(-float64(step)/5000)+0.05*r.NormFloat64())*1e4)/1e4
	}
	return p
}

// BenchmarkAppend records the series of 20 attempts at a time, in appends of some points
// of each.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1, 100, 2000} {
		for _, sync := range []bool{true, false} {
			b.Run(fmt.Sprintf("points=%d/sync=%v", size, sync), func(b *testing.B) {
				const attempts, perAttempt = 20, 20000
				s := openBench(b, !sync)
				r := rand.New(rand.NewPCG(1, 2))
				points := make([]sweeps.Point, perAttempt)
				at := benchEpoch
				for i := range points {
					points[i] = benchPoint(r, &at, i)
				}
				total, first, generation := 0, 0, int64(0)
				for b.Loop() {
					batches := make([]coordinator.Batch, attempts)
					for i := range batches {
						batches[i] = coordinator.Batch{
							Ref: sweeps.AttemptRef{
								TrialKey: sweeps.TrialKey{Sweep: "01hzy3xk5v8m2q", Index: generation*attempts + int64(i)}, Attempt: 1,
							},
							First: int64(first), Points: points[first : first+size],
						}
					}
					if _, err := s.Metrics.Append(batches); err != nil {
						b.Fatal(err)
					}
					total += attempts * size
					if first += size; first+size > perAttempt {
						first, generation = 0, generation+1
					}
				}
				b.ReportMetric(float64(total)/b.Elapsed().Seconds(), "points/s")
				b.ReportMetric(diskBytes(b, s, 1)/float64(total), "B/point")
			})
		}
	}
}

// openBench opens a home on the disk of the working directory: the one for temporary
// files may be memory, which syncs for nothing.
func openBench(b *testing.B, noSync bool) *Stores {
	b.Helper()
	dir, err := os.MkdirTemp(".", "bench-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			b.Error(err)
		}
	})
	return openHome(b, filepath.Join(dir, "home"), Options{NoSync: noSync})
}

// diskBytes returns how large one of the home's files is, without the space that it has
// reserved beyond its last page.
func diskBytes(b *testing.B, s *Stores, file int) float64 {
	b.Helper()
	tx, err := s.files[file].db.Begin(false)
	if err != nil {
		b.Fatal(err)
	}
	size := tx.Size()
	if err := tx.Rollback(); err != nil {
		b.Fatal(err)
	}
	return float64(size)
}

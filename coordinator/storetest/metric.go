package storetest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"swath/coordinator"
	"swath/sweeps"
)

// TestMetricStore verifies what ports.go promises of a MetricStore. open is as for
// [TestStore].
func TestMetricStore(t *testing.T, open func(t *testing.T, home string) coordinator.MetricStore) {
	tests := []struct {
		name string
		run  func(t *testing.T, s coordinator.MetricStore)
	}{
		{"EmptyStoreAnswers", testNoPoints},
		{"PointsComeBackAsTheyWere", testPoints},
		{"TimesComeBackToTheMillisecond", testPointTimes},
		{"RepeatedPointsAreSkipped", testRepeats},
		{"GapIsRefused", testGaps},
		{"BatchesOfOneCallBuildOnEachOther", testBatches},
		{"AttemptsDoNotMix", testAttempts},
		{"AllMetricsAreReadByName", testByName},
		{"ReadStopsWhenTold", testStop},
		{"PointsAreCopied", testPointCopies},
		{"LongSeriesInAppendsOfAnySize", testLong},
		{"ManyMetrics", testManyMetrics},
		{"RemovedPointsAreGone", testRemovedPoints},
		{"ConcurrentAppendsAndReads", testConcurrentAppends},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := open(t, t.TempDir())
			defer closeStore(t, s)
			test.run(t, s)
		})
	}
	t.Run("ReopenedStoreHasEverything", func(t *testing.T) { testReopenMetrics(t, open) })
}

var attemptOne = ref("s1", 0, 1)

func ref(sweep sweeps.SweepID, index int64, attempt int) sweeps.AttemptRef {
	return sweeps.AttemptRef{TrialKey: sweeps.TrialKey{Sweep: sweep, Index: index}, Attempt: attempt}
}

// series returns n points of a metric from a step on.
func series(metric string, from, n int) []sweeps.Point {
	list := make([]sweeps.Point, n)
	for i := range list {
		step := from + i
		list[i] = sweeps.Point{
			Metric: metric, Step: int64(step), Value: 1 / float64(step+1),
			Time: epoch.Truncate(time.Millisecond).Add(time.Duration(step) * time.Second),
		}
	}
	return list
}

func appendPoints(t *testing.T, s coordinator.MetricStore, want int64, r sweeps.AttemptRef, first int64, points []sweeps.Point) {
	t.Helper()
	next, err := s.Append([]coordinator.Batch{{Ref: r, First: first, Points: points}})
	if err != nil {
		t.Fatalf("append %d points of %s at %d: %v", len(points), r, first, err)
	}
	equal(t, fmt.Sprintf("points of %s after an append at %d", r, first), next, []int64{want})
}

func read(t *testing.T, s coordinator.MetricStore, r sweeps.AttemptRef, metric string) []sweeps.Point {
	t.Helper()
	var list []sweeps.Point
	if err := s.Read(r, metric, func(p sweeps.Point) bool { list = append(list, p); return true }); err != nil {
		t.Fatalf("read %q of %s: %v", metric, r, err)
	}
	return list
}

// samePoints compares bit by bit: a NaN need be the same NaN, and 0 is not -0.
func samePoints(t *testing.T, what string, got, want []sweeps.Point) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d points, want %d", what, len(got), len(want))
		return
	}
	for i, g := range got {
		w := want[i]
		if g.Metric != w.Metric || g.Step != w.Step || math.Float64bits(g.Value) != math.Float64bits(w.Value) || !g.Time.Equal(w.Time) {
			t.Errorf("%s: point %d is %+v, want %+v", what, i, g, w)
			return
		}
	}
}

// verifyAttempt compares everything that a store tells of an attempt to its points.
func verifyAttempt(t *testing.T, s coordinator.MetricStore, r sweeps.AttemptRef, points []sweeps.Point) {
	t.Helper()
	byName := map[string][]sweeps.Point{}
	want := map[string]sweeps.Summary{}
	var names []string
	for _, p := range points {
		if byName[p.Metric] == nil {
			names = append(names, p.Metric)
		}
		byName[p.Metric] = append(byName[p.Metric], p)
		want[p.Metric] = want[p.Metric].Add(p)
	}
	slices.Sort(names)
	var all []sweeps.Point
	for _, name := range names {
		samePoints(t, fmt.Sprintf("metric %q of %s", name, r), read(t, s, r, name), byName[name])
		all = append(all, byName[name]...)
	}
	samePoints(t, fmt.Sprintf("all metrics of %s", r), read(t, s, r, ""), all)
	got, err := s.Summaries(r)
	if err != nil {
		t.Fatalf("summaries of %s: %v", r, err)
	}
	equal(t, fmt.Sprintf("summaries of %s", r), got, want)
}

func testNoPoints(t *testing.T, s coordinator.MetricStore) {
	verifyAttempt(t, s, attemptOne, nil)
	equal(t, "points of a metric that is not there", len(read(t, s, attemptOne, "loss")), 0)
	if next, err := s.Append(nil); err != nil || len(next) != 0 {
		t.Errorf("append of nothing: %v, %v", next, err)
	}
	appendPoints(t, s, 0, attemptOne, 0, nil)
	verifyAttempt(t, s, attemptOne, nil)
}

func testPoints(t *testing.T, s coordinator.MetricStore) {
	points := series("loss", 0, 3)
	values := []float64{
		math.NaN(), math.Float64frombits(0x7ff8000000000bad), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1),
		math.SmallestNonzeroFloat64, math.MaxFloat64, -math.MaxFloat64, 0.1, 0.2, 0.3, 1e22, 1e23, 123456789012345678,
		float64(float32(0.1)), -0.6931, math.Pi, 1 << 53, 1<<53 - 1, -1e-9, math.NaN(),
	}
	steps := []int64{math.MaxInt64, math.MinInt64, 0, -1, 5, 5, 4, math.MaxInt64, 1 << 40}
	for i, v := range values {
		points = append(points, sweeps.Point{
			Metric: "odd", Step: steps[i%len(steps)], Value: v,
			Time: epoch.Truncate(time.Millisecond).AddDate(i*13, 0, 0).Add(-time.Duration(i) * time.Millisecond),
		})
	}
	points = append(points, sweeps.Point{Metric: "no time", Value: 1})
	appendPoints(t, s, int64(len(points)), attemptOne, 0, points)
	verifyAttempt(t, s, attemptOne, points)
	if got := read(t, s, attemptOne, "no time"); len(got) != 1 || !got[0].Time.IsZero() {
		t.Errorf("the zero time came back as %v", got)
	}
}

func testPointTimes(t *testing.T, s coordinator.MetricStore) {
	points := series("loss", 0, 50)
	for i := range points {
		points[i].Time = points[i].Time.Add(time.Duration(i*37) * 10 * time.Microsecond)
	}
	appendPoints(t, s, 50, attemptOne, 0, points)
	for i, p := range read(t, s, attemptOne, "loss") {
		if d := points[i].Time.Sub(p.Time); d < 0 || d >= time.Millisecond {
			t.Errorf("point %d: time %v came back as %v", i, points[i].Time, p.Time)
		}
	}
}

func testRepeats(t *testing.T, s coordinator.MetricStore) {
	points := append(series("loss", 0, 5), series("accuracy", 0, 5)...)
	appendPoints(t, s, 6, attemptOne, 0, points[:6])
	appendPoints(t, s, 6, attemptOne, 0, points[:6]) // all of them again
	appendPoints(t, s, 6, attemptOne, 2, points[2:4])
	appendPoints(t, s, 6, attemptOne, 6, nil)
	appendPoints(t, s, 9, attemptOne, 3, points[3:9]) // half of them new
	appendPoints(t, s, 10, attemptOne, 0, points)
	// What is recorded holds, whatever a repeat says.
	appendPoints(t, s, 10, attemptOne, 0, series("other", 100, 10))
	verifyAttempt(t, s, attemptOne, points)
}

func testGaps(t *testing.T, s coordinator.MetricStore) {
	points := series("loss", 0, 10)
	appendPoints(t, s, 0, attemptOne, 1, points[1:])
	appendPoints(t, s, 4, attemptOne, 0, points[:4])
	appendPoints(t, s, 4, attemptOne, 5, points[5:])
	appendPoints(t, s, 4, attemptOne, math.MaxInt64, points[5:])
	appendPoints(t, s, 4, attemptOne, -1, points)
	verifyAttempt(t, s, attemptOne, points[:4])
	appendPoints(t, s, 10, attemptOne, 4, points[4:])
	verifyAttempt(t, s, attemptOne, points)
}

func testBatches(t *testing.T, s coordinator.MetricStore) {
	a, b := ref("s1", 3, 1), ref("s2", 3, 1)
	points := series("loss", 0, 10)
	next, err := s.Append([]coordinator.Batch{
		{Ref: a, First: 0, Points: points[:3]},
		{Ref: b, First: 1, Points: points[1:]}, // a gap
		{Ref: a, First: 3, Points: points[3:5]},
		{Ref: a, First: 8, Points: points[8:]}, // a gap
		{Ref: b, First: 0, Points: points[:2]},
		{Ref: a, First: 4, Points: points[4:7]},
		{Ref: b, First: 2, Points: nil},
	})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "points of each batch's attempt", next, []int64{3, 0, 5, 5, 2, 7, 2})
	verifyAttempt(t, s, a, points[:7])
	verifyAttempt(t, s, b, points[:2])
}

func testAttempts(t *testing.T, s coordinator.MetricStore) {
	refs := []sweeps.AttemptRef{
		ref("s", 0, 1), ref("s", 0, 2), ref("s", 0, 256), ref("s", 1, 1), ref("s", 256, 1), ref("s", math.MaxInt64, 1),
		ref("s1", 0, 1), ref("s\x00", 0, 1),
	}
	for i, r := range refs {
		appendPoints(t, s, int64(i+1), r, 0, series(fmt.Sprintf("metric %d", i%3), 10*i, i+1))
	}
	for i, r := range refs {
		verifyAttempt(t, s, r, series(fmt.Sprintf("metric %d", i%3), 10*i, i+1))
	}
}

func testByName(t *testing.T, s coordinator.MetricStore) {
	var points []sweeps.Point
	for _, name := range []string{"z", "a", "m", "a/b", "Z", "é", "loss", "loss2"} {
		points = append(points, series(name, len(points), 2)...)
	}
	// Recorded one by one and interleaved, read series by series.
	rand.New(rand.NewPCG(3, 3)).Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
	for i := range points {
		appendPoints(t, s, int64(i+1), attemptOne, int64(i), points[i:i+1])
	}
	verifyAttempt(t, s, attemptOne, points)
}

func testStop(t *testing.T, s coordinator.MetricStore) {
	points := append(series("a", 0, 3000), series("b", 0, 10)...)
	appendPoints(t, s, 3010, attemptOne, 0, points)
	for _, metric := range []string{"", "a"} {
		for _, stop := range []int{1, 2, 1023, 1024, 1025, 3000} {
			seen := 0
			if err := s.Read(attemptOne, metric, func(sweeps.Point) bool { seen++; return seen < stop }); err != nil {
				t.Fatal(err)
			}
			equal(t, "points before the stop", seen, stop)
		}
	}
}

func testPointCopies(t *testing.T, s coordinator.MetricStore) {
	points := series("loss", 0, 10)
	given := slices.Clone(points)
	appendPoints(t, s, 6, attemptOne, 0, given[:6])
	clear(given[:6])
	appendPoints(t, s, 10, attemptOne, 6, given[6:])
	clear(given)
	verifyAttempt(t, s, attemptOne, points)
}

func testLong(t *testing.T, s coordinator.MetricStore) {
	r := rand.New(rand.NewPCG(5, 5))
	noise := make([]sweeps.Point, 9000)
	at := epoch.Truncate(time.Millisecond)
	for i := range noise {
		at = at.Add(time.Duration(40+r.IntN(20)) * time.Millisecond)
		value := math.Exp(-float64(i)/3000) + 0.1*r.NormFloat64()
		switch {
		case i%2 == 0:
			noise[i].Metric, value = "loss", float64(float32(value))
		case i%5 == 0:
			noise[i].Metric, value = "accuracy", math.Round(value*1e4)/1e4
		default:
			noise[i].Metric = "noise"
		}
		if i > 8000 && i < 8400 {
			value = math.NaN()
		}
		noise[i].Step, noise[i].Value, noise[i].Time = int64(i/3), value, at
	}
	sizes := []int{1, 1, 2, 7, 63, 64, 65, 127, 128, 129, 500, 1023, 1024, 1025, 3000}
	for done := 0; done < len(noise); {
		n := min(sizes[r.IntN(len(sizes))], len(noise)-done)
		appendPoints(t, s, int64(done+n), attemptOne, int64(done), noise[done:done+n])
		done += n
	}
	verifyAttempt(t, s, attemptOne, noise)
	// Single points, over several times what a store may gather in one place.
	single := ref("s1", 1, 1)
	for i, p := range noise[:1100] {
		p.Metric = "loss"
		noise[i] = p
		appendPoints(t, s, int64(i+1), single, int64(i), noise[i:i+1])
	}
	verifyAttempt(t, s, single, noise[:1100])
}

func testManyMetrics(t *testing.T, s coordinator.MetricStore) {
	var points []sweeps.Point
	for step := range 3 {
		for m := range 300 {
			points = append(points, series(fmt.Sprintf("layer %d", m), step, 1)...)
		}
	}
	appendPoints(t, s, 450, attemptOne, 0, points[:450])
	appendPoints(t, s, 900, attemptOne, 450, points[450:])
	verifyAttempt(t, s, attemptOne, points)
}

func testConcurrentAppends(t *testing.T, s coordinator.MetricStore) {
	const writers, total, size = 4, 1200, 60
	points := series("loss", 0, total)
	var wg sync.WaitGroup
	for w := range writers {
		r := ref("s1", int64(w/2), 1) // two writers send the same points
		wg.Go(func() {
			for first := 0; first < total; first += size {
				next, err := s.Append([]coordinator.Batch{{Ref: r, First: int64(first), Points: points[first : first+size]}})
				if err != nil || next[0] < int64(first+size) {
					t.Errorf("append at %d: %v, %v", first, next, err)
					return
				}
			}
		})
		wg.Go(func() {
			for range 20 {
				n := 0
				err := s.Read(r, "loss", func(p sweeps.Point) bool {
					if p.Step != int64(n) {
						t.Errorf("point %d comes at place %d", p.Step, n)
						return false
					}
					n++
					return true
				})
				if err != nil {
					t.Errorf("read: %v", err)
				}
			}
		})
	}
	wg.Wait()
	verifyAttempt(t, s, ref("s1", 0, 1), points)
	verifyAttempt(t, s, ref("s1", 1, 1), points)
}

func testReopenMetrics(t *testing.T, open func(t *testing.T, home string) coordinator.MetricStore) {
	home := t.TempDir()
	var points []sweeps.Point
	for round := range 4 {
		s := open(t, home)
		verifyAttempt(t, s, attemptOne, points)
		more := append(series("loss", round*700, 700), series(fmt.Sprintf("metric %d", round), 0, 5)...)
		first := int64(len(points))
		points = append(points, more...)
		appendPoints(t, s, int64(len(points)), attemptOne, first, more)
		closeStore(t, s)
	}
}

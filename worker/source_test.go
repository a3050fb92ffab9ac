//go:build unix

package worker

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"swath/sweeps"
	"swath/worker/exec"
)

// Whatever the trainer writes where and when, and whoever reads how far and begins again
// from where: a sequence number always stands for the same point.
func TestPointsKeepTheirNumbers(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		a := &Agent{home: &home{dir: t.TempDir()}, log: slog.New(slog.DiscardHandler)}
		at := newAttempt(a, shell(0, "unused"))
		at.rules = []sweeps.MetricRule{{Name: "loss"}, {Name: "acc"}}
		if err := os.MkdirAll(at.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		var seen []sweeps.Point // by number, as first read
		marks := []mark{{}}
		s, err := at.openSource(exec.Position{})
		if err != nil {
			t.Fatal(err)
		}
		next := int64(0)
		read := func(ended bool) {
			points, err := s.read(1+random.IntN(20), ended)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			for _, p := range points {
				p.Time = time.Time{}
				if next < int64(len(seen)) && seen[next] != p {
					t.Fatalf("seed %d: point %d was %+v and is %+v", seed, next, seen[next], p)
				}
				if next == int64(len(seen)) {
					seen = append(seen, p)
				}
				next++
			}
			if s.position().Seq != next {
				t.Fatalf("seed %d: at point %d the position says %d", seed, next, s.position().Seq)
			}
			marks = append(marks, mark{next, s.position()})
		}
		written := 0
		for range 200 {
			switch random.IntN(6) {
			case 0: // the report, a metric that is printed, too, included
				for range random.IntN(5) {
					written++
					appendLine(t, exec.ReportFile(at.dir), fmt.Sprintf(`{"%s": %d}`, []string{"speed", "acc"}[random.IntN(2)], written))
				}
			case 1:
				for range random.IntN(5) {
					written++
					appendLine(t, filepath.Join(at.dir, "stdout"), fmt.Sprintf("%s=%d", []string{"loss", "acc", "noise"}[random.IntN(3)], written))
				}
			case 2, 3:
				read(false)
			case 4: // another session, or another agent
				s.close()
				from := marks[random.IntN(len(marks))]
				if s, err = at.openSource(from.at); err != nil {
					t.Fatal(err)
				}
				next = from.next
			case 5: // a crash cut the last line off
				s.close()
				if random.IntN(4) == 0 {
					appendText(t, filepath.Join(at.dir, batchesFile), `{"seq":`)
				}
				if s, err = at.openSource(exec.Position{}); err != nil {
					t.Fatal(err)
				}
				next = 0
			}
		}
		for before := int64(-1); before != next; {
			before = next
			read(true)
		}
		s.close()
		if written > 50 && len(seen) < 20 {
			t.Errorf("seed %d: only %d points of %d lines", seed, len(seen), written)
		}
	}
}

func appendLine(t *testing.T, path, line string) { appendText(t, path, line+"\n") }

func appendText(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

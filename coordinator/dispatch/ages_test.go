package dispatch

import (
	"testing"
	"time"

	"swath/sweeps"
)

// Workers say how long ago something was. What they say is heard late, after an outage say, or
// is nonsense, as their clocks may be; it is never before the trial was handed out, or to come.
func TestTimesOfAnAttempt(t *testing.T) {
	const hour = time.Hour
	for _, c := range []struct {
		name               string
		startedAgo         time.Duration // negative for no Started
		ran, ago           time.Duration // as Exited says, five hours after the trial was handed out
		wantStart, wantEnd time.Duration // after it was
	}{
		{"both at once", -1, hour, 2 * hour, 2 * hour, 3 * hour},
		{"started before", 0, 4 * hour, hour, 0, 4 * hour},
		{"an old worker", 0, 0, 0, 0, 5 * hour},
		{"longer than it was there", -1, 7 * hour, hour, 0, 4 * hour},
		{"before it was handed out", -1, hour, 9 * hour, 0, 0},
		{"in the future", -1, hour, -hour, 4 * hour, 5 * hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			given := time.Date(2026, 11, 27, 8, 0, 0, 0, time.UTC)
			s := New(DefaultConfig())
			step := func(at time.Time, ev Event) {
				t.Helper()
				if err := s.Step(at, ev); err != nil {
					t.Fatal(err)
				}
			}
			step(given, Hello{Worker: sweeps.Worker{ID: "w", Name: "w", Slots: 1}, Session: 1})
			step(given, submission("s", 1, Policy{}))
			s.Assign(given)
			s.TakeChanges()
			ref := sweeps.AttemptRef{TrialKey: sweeps.TrialKey{Sweep: "s"}, Attempt: 1}
			if c.startedAgo >= 0 {
				step(given, Started{"w", ref, c.startedAgo})
			}
			step(given.Add(5*hour), Exited{Worker: "w", Ref: ref, Outcome: sweeps.Outcome{Class: sweeps.ClassOK}, Ran: c.ran, Ago: c.ago})
			changes := s.TakeChanges()
			if len(changes.Trials) != 1 {
				t.Fatalf("%d trials changed", len(changes.Trials))
			}
			got := changes.Trials[0]
			if start, end := got.Started.Sub(given), got.Ended.Sub(given); start != c.wantStart || end != c.wantEnd {
				t.Errorf("it ran from %s to %s, not from %s to %s", start, end, c.wantStart, c.wantEnd)
			}
		})
	}
}

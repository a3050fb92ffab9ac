package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Sweeps are removed where no coordinator runs and where one does; one that has not ended,
// and one whose results others took over, are refused, and then nothing is removed.
func TestRm(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	first := fakeSweep(t, "first", "method: grid\nreuse: true\ncheckpoints: {keep_last: 1}\nparameters: {x: {values: [0.25, 0.5]}}")
	at := []string{"--home", home}
	for _, name := range []string{"first", "second", "third"} {
		swath(t, "run", first, "--home", home, "--name", name).want(t, 0)
	}
	swath(t, append(at, "rm", "first")...).want(t, 2).says(t, "--yes")
	swath(t, append(at, "rm", "third", "nobody", "--yes")...).want(t, 2).says(t, `no sweep "nobody"`)
	swath(t, append(at, "rm", "first", "--yes")...).want(t, 2).says(t, "taken over by", `"second"`, `"third"`)
	swath(t, append(at, "rm", "third", "second", "--yes")...).want(t, 0).says(t, "third is removed, with 2 trials", "second is removed")
	o := swath(t, append(at, "rm", "first", "--yes", "--json")...).want(t, 0)
	var gone struct {
		Name     string
		Finished int
	}
	if err := json.Unmarshal([]byte(o.out), &gone); err != nil || gone.Name != "first" || gone.Finished != 2 {
		t.Errorf("%v: %q", err, o.out)
	}
	swath(t, append(at, "results", "first")...).want(t, 2).says(t, `no sweep "first"`)
	for _, folder := range []string{"logs", "checkpoints"} {
		if left, _ := os.ReadDir(filepath.Join(home, folder)); len(left) != 0 {
			t.Errorf("left in %s: %v", folder, left)
		}
	}
	// Nothing is there to be reused any more.
	if o := swath(t, "run", first, "--home", home).want(t, 0); o.err != "" {
		o.says(t, "first: 2 trials: 2 finished")
	}

	_, addr := coordinator(t, home)
	at = []string{"--coordinator", addr}
	swath(t, append(at, "submit", first, "--name", "waits", "--no-reuse")...).want(t, 0)
	swath(t, append(at, "rm", "first", "waits", "--yes")...).want(t, 2).says(t, "waits", "has not ended", "cancel it first")
	swath(t, append(at, "cancel", "waits")...).want(t, 0)
	swath(t, append(at, "rm", "first", "waits", "--yes")...).want(t, 0).says(t, "first is removed", "waits is removed")
	if o := swath(t, append(at, "ls", "--json")...).want(t, 0); o.out != "" {
		t.Errorf("left are\n%s", o.out)
	}
}

// A sweep whose run was killed is cancelled where no coordinator runs, and can be removed then;
// what still runs of it is ended by the next run on the home. Other sweeps are left alone.
func TestCancelWhereNoCoordinatorRuns(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	kept, gone := newGated(t, "kept", 3, ""), newGated(t, "gone", 4, "")
	run := start(t, "run", kept.file, "--home", home, "--slots", "2", "--grace", "1s")
	kept.await(2)
	run.signal(os.Interrupt)
	run.wait().want(t, 130)
	run = start(t, "run", gone.file, "--home", home, "--slots", "2")
	gone.await(2)
	run.kill()
	swath(t, "rm", "gone", "--home", home, "--yes").want(t, 2).says(t, "cancel it first")
	swath(t, "cancel", "gone", "--home", home).want(t, 0).says(t, "gone is cancelled", "0 being stopped")
	swath(t, "status", "gone", "--home", home).want(t, 0).says(t, "cancelled", "0 running")
	swath(t, "status", "kept", "--home", home).want(t, 0).says(t, "running", "0/3 ended")
	swath(t, "cancel", "gone", "--home", home).want(t, 0).says(t, "gone is cancelled") // which changes nothing
	swath(t, "rm", "gone", "--home", home, "--yes").want(t, 0).says(t, "gone is removed")

	kept.open()
	swath(t, "run", kept.file, "--home", home, "--slots", "2").want(t, 0).says(t, "3 trials: 3 finished")
	gone.gone()
}

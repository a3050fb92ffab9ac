//go:build unix

package cli_test

import (
	"encoding/csv"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	outagePoints = flag.Int("outage.points", 20_000, "outage test: how many points a trial reports while no coordinator is there")
	outageFor    = flag.Duration("outage.for", 0, "outage test: for how long it is away after that")
)

// TestNoPointIsLostInAnOutage: while the coordinator is away a trial reports many points and ends, and
// its agent is killed as well and another takes over. All is there in the end, once.
func TestNoPointIsLostInAnOutage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := *outagePoints
	sweep := filepath.Join(dir, "sweep.yaml")
	script := fmt.Sprintf(`cd '%s'
echo begun > begun
while [ ! -e go ]; do sleep 0.02; done
awk 'BEGIN { for (i = 1; i <= %d; i++) printf "{\"step\":%%d,\"metrics\":{\"loss\":%%.6f}}\n", i, 1/i }' >> "$SWATH_REPORT"
echo done > done`, dir, n)
	for name, text := range map[string]string{
		"sweep.yaml": "name: outage\nmethod: grid\nmetric: {name: loss}\nprogram: trial.sh\ncommand: [sh, \"${program}\"]\nparameters: {x: {values: [1]}}\n",
		"trial.sh":   script,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	exists := func(name string) func() bool {
		return func() bool { _, err := os.Stat(filepath.Join(dir, name)); return err == nil }
	}
	home, workerHome := t.TempDir(), t.TempDir()
	c, addr := coordinator(t, home)
	agent := start(t, "worker", "--coordinator", addr, "--home", workerHome, "--slots", "1")
	agent.printed(`worker \S+ ready`)
	swath(t, "submit", sweep, "--coordinator", addr).want(t, 0)
	until(t, "the trial to begin", exists("begun"))

	c.kill()
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	until(t, "the trial to end", exists("done"))
	agent.kill()
	time.Sleep(*outageFor)
	agent = start(t, "worker", "--coordinator", addr, "--home", workerHome, "--slots", "1")
	until(t, "the new agent to take over", func() bool { return strings.Contains(agent.stderr()+agent.stdout(), "takes over 1 trials") })

	c = start(t, "coordinator", "--home", home, "--listen", addr)
	c.printed("coordinator ready")
	swath(t, "watch", "outage", "--home", home).want(t, 0).says(t, "1 trial: 1 finished")
	rows := parseRows(t, swath(t, "results", "outage", "--home", home, "--format", "jsonl").want(t, 0))
	if len(rows) != 1 || rows[0].Attempts != 1 {
		t.Errorf("the trial was begun again: %+v", rows)
	}
	points, err := csv.NewReader(strings.NewReader(swath(t, "series", "outage", "--metric", "loss", "--home", home, "--format", "csv").want(t, 0).out)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(points) != n+1 {
		t.Fatalf("%d points are recorded, want %d", len(points)-1, n)
	}
	for i, p := range points[1:] {
		if want := strconv.Itoa(i + 1); p[3] != want {
			t.Fatalf("point %d is of step %s, want %s", i, p[3], want)
		}
	}
}

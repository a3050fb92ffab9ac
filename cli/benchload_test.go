package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// bench runs a benchmark that prints JSON, small, and returns what it printed. It leaves
// nothing behind.
func bench(t *testing.T, args ...string) map[string]any {
	t.Helper()
	t.Setenv(asProgram, "1") // the coordinator under load is this binary, in another process
	home := filepath.Join(t.TempDir(), "home")
	o := swath(t, append([]string{"bench"}, append(args, "--home", home, "--json")...)...).want(t, 0)
	var r map[string]any
	if err := json.Unmarshal([]byte(o.out), &r); err != nil {
		t.Fatalf("%v in %q", err, o.out)
	}
	if _, err := os.Stat(home); err == nil {
		t.Errorf("bench %v leaves the home behind that it made", args)
	}
	return r
}

func TestBenchDispatch(t *testing.T) {
	for _, c := range []struct {
		name    string
		args    []string
		durable bool
		spawn   bool
		has     []string
	}{
		{"processes", []string{"--trials", "20"}, true, true, []string{"bare_per_second", "ratio", "logged_per_second", "logged_ratio"}},
		{"not started", []string{"--no-spawn", "--no-sync", "--trials", "300", "--workers", "2"}, false, false, nil},
		{"simulated and killed", []string{"--no-spawn", "--simulate", "--trials", "2000", "--restart"}, true, false, []string{"restart_ms"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := bench(t, append([]string{"dispatch"}, c.args...)...)
			if r["durable"] != c.durable || r["spawn"] != c.spawn {
				t.Errorf("durable %v and spawn %v, want %t and %t", r["durable"], r["spawn"], c.durable, c.spawn)
			}
			for _, key := range append(c.has, "trials", "trials_per_second", "rss_mb", "refills", "coordinator_cpu_ms_per_1000") {
				if x, ok := r[key].(float64); !ok || x <= 0 {
					t.Errorf("%s is %v", key, r[key])
				}
			}
			if p50, p99 := r["refill_p50_ms"].(float64), r["refill_p99_ms"].(float64); p50 < 0 || p99 < p50 {
				t.Errorf("refills of %v and %v ms at the median and the 99th percentile", p50, p99)
			}
		})
	}
}

func TestBenchIngest(t *testing.T) {
	r := bench(t, "ingest", "--points", "100001", "--attempts", "5", "--workers", "2")
	// Two workers with two attempts each share the points evenly.
	if r["points"] != 100_000.0 || r["attempts"] != 4.0 || r["durable"] != true {
		t.Errorf("%v", r)
	}
	if b := r["bytes_per_point"].(float64); b < 1 || b > 20 {
		t.Errorf("%v bytes a point", b)
	}
}

func TestBenchScale(t *testing.T) {
	r := bench(t, "scale", "--workers", "60", "--connections", "7", "--seconds", "1", "--trial", "200ms")
	if r["workers"] != 60.0 || r["connections"] != 7.0 || r["trials_per_second"].(float64) <= 0 || r["rss_mb"].(float64) <= 0 {
		t.Errorf("%v", r)
	}
}

func TestBenchSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"dispatch", "--trials", "0"}, "--trials 0: want at least 1"},
		{[]string{"dispatch", "--simulate"}, "say --no-spawn as well"},
		{[]string{"ingest", "--points", "3"}, "at least one for each of 20 attempts"},
		{[]string{"ingest", "--workers", "30"}, "an attempt for each"},
		{[]string{"scale", "--workers", "0"}, "want at least 1"},
		{[]string{"scale", "--seconds", "0"}, "want at least 1s"},
	} {
		swath(t, append([]string{"bench", "--home", t.TempDir()}, c.args...)...).want(t, 2).says(t, c.says)
	}
}

package cli_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// slackOf returns the timer slack of a process, in nanoseconds. Others than root may not ask
// for that of another process.
func slackOf(t *testing.T, pid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/timerslack_ns", pid))
	if errors.Is(err, fs.ErrPermission) {
		t.Skip("only root may look")
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// What serves may be late by a moment, and what it trains may not.
func TestTheTimersOfTrainersAreNotLate(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "slack.yaml")
	sweep := "name: slack\nmethod: grid\ncommand: [sh, -c, 'cat /proc/self/timerslack_ns; cat /proc/$PPID/timerslack_ns']\nparameters: {x: {value: 1}}\n"
	if err := os.WriteFile(file, []byte(sweep), 0o644); err != nil {
		t.Fatal(err)
	}
	c, addr := coordinator(t, filepath.Join(dir, "home"))
	w := start(t, "worker", "--coordinator", addr, "--home", filepath.Join(dir, "worker"))
	w.printed("(?m)^worker .* ready")
	swath(t, "submit", file, "--coordinator", addr).want(t, 0)
	swath(t, "watch", "slack", "--coordinator", addr).want(t, 0)
	log := swath(t, "logs", "slack/0", "--coordinator", addr).want(t, 0).out
	if mine, _, _ := strings.Cut(log, "\n"); mine != "50000" {
		t.Errorf("the trainer's timers may be late by %q ns", mine)
	}
	for name, p := range map[string]*process{"coordinator": c, "worker": w} {
		if got := slackOf(t, p.cmd.Process.Pid); got != "2000000" {
			t.Errorf("the %s's timers may be late by %s ns", name, got)
		}
	}
	if !strings.Contains(log, "2000000") {
		t.Errorf("the keeper's timers are punctual: %q", log)
	}
}

package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fill leaves nothing free on a disk, and returns how to empty it again.
func fill(t *testing.T, disk string) (empty func()) {
	t.Helper()
	path := filepath.Join(disk, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1 << 20, 4096} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// A run on a disk that fills up says so, goes on when there is room, or gives up in the end;
// nothing that was recorded is lost.
func TestRunOnADiskThatFillsUp(t *testing.T) {
	t.Parallel()
	file := fakeSweep(t, "filling", "method: grid\nparameters: {x: {min: 1, max: 60}, steps: {value: 2}, step_ms: {value: 20}}")
	for _, reserve := range []string{"8MiB", "0"} { // refused before it is full, and when it is
		disk := mount(t, "size=32m")
		args := []string{"run", file, "--home", filepath.Join(disk, "home"), "--disk-reserve", reserve}
		first := start(t, append(args, "--disk-wait", "2s")...)
		until(t, "the first trials", func() bool {
			return strings.Contains(swath(t, "ls", "--home", filepath.Join(disk, "home")).out, "/60")
		})
		empty := fill(t, disk)
		first.wait().want(t, 1).says(t, "waiting: ", "giving up after 2s", "the same command goes on with filling")

		empty()
		again := start(t, args...)
		until(t, "the run to go on", func() bool { return strings.Contains(again.stderr(), "going on with it") })
		empty = fill(t, disk)
		until(t, "the run to say that it waits", func() bool { return strings.Contains(again.stderr(), "waiting: ") })
		time.Sleep(1500 * time.Millisecond) // a disk that is full for less than a second may go unseen
		empty()
		again.wait().want(t, 0).says(t, "60 trials: 60 finished")
	}
}

// Below the reserve a coordinator takes no sweep, and a worker no trial; both say why.
func TestDiskReserve(t *testing.T) {
	t.Parallel()
	file := fakeSweep(t, "reserved", "method: grid\nparameters: {x: {value: 0.5}}")
	disk := mount(t, "size=32m")
	home := filepath.Join(disk, "home")
	_, addr := coordinator(t, home, "--disk-reserve", "20MiB")
	empty := fill(t, disk)
	tries := 0
	until(t, "the coordinator to refuse", func() bool {
		tries++ // until it looks at its disk it takes what comes
		o := swath(t, "submit", file, "--name", fmt.Sprintf("early-%d", tries), "--coordinator", addr)
		return strings.Contains(o.err, "20 MiB are the reserve")
	})
	empty()
	until(t, "the coordinator to take it", func() bool { return swath(t, "submit", file, "--coordinator", addr).code == 0 })

	small := mount(t, "size=16m")
	w := start(t, "worker", "--home", filepath.Join(small, "w"), "--coordinator", addr, "--grace", "1s", "--disk-reserve", "90%")
	w.printed(`worker \S+ ready`)
	ballast := filepath.Join(small, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	more := fakeSweep(t, "more", "method: grid\nparameters: {x: {min: 1, max: 30}, steps: {value: 1}, step_ms: {value: 100}}")
	swath(t, "submit", more, "--coordinator", addr).want(t, 0)
	until(t, "the status to say what it waits for", func() bool {
		return strings.Contains(swath(t, "status", "more", "--coordinator", addr).out, "14.4 MiB are the reserve")
	})
	swath(t, "workers", "--coordinator", addr).says(t, "14.4 MiB are the reserve")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	swath(t, "watch", "more", "--coordinator", addr).want(t, 0).says(t, "30 finished")
}

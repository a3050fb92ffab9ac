package storetest

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"swath/coordinator"
	"swath/sweeps"
)

// TestLogStore verifies what ports.go promises of a LogStore. open is as for [TestStore],
// but for closing, which log stores need not.
func TestLogStore(t *testing.T, open func(t *testing.T, home string) coordinator.LogStore) {
	tests := []struct {
		name string
		run  func(t *testing.T, l coordinator.LogStore)
	}{
		{"NothingWrittenIsNoError", testNoLog},
		{"BytesComeBack", testLogBytes},
		{"RepeatedBytesAreSkipped", testLogRepeats},
		{"GapWritesNothing", testLogGaps},
		{"StreamsDoNotMix", testLogStreams},
		{"RemovedLogsAreGone", testRemovedLogs},
		{"ConcurrentAppends", testLogConcurrent},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t, t.TempDir())) })
	}
	t.Run("ReopenedStoreHasEverything", func(t *testing.T) {
		home := t.TempDir()
		for i := range 3 {
			appendLog(t, open(t, home), int64(2*i+2), attemptOne, "stdout", int64(2*i), "ab")
		}
		equal(t, "log", readLog(t, open(t, home), attemptOne, "stdout", 0, 100), "ababab")
	})
}

func appendLog(t *testing.T, l coordinator.LogStore, want int64, r sweeps.AttemptRef, stream string, offset int64, data string) {
	t.Helper()
	next, err := l.Append(r, stream, offset, []byte(data))
	if err != nil {
		t.Fatalf("append to %s of %s at %d: %v", stream, r, offset, err)
	}
	equal(t, fmt.Sprintf("bytes of %s of %s after an append at %d", stream, r, offset), next, want)
}

func readLog(t *testing.T, l coordinator.LogStore, r sweeps.AttemptRef, stream string, offset int64, limit int) string {
	t.Helper()
	data, err := l.Read(r, stream, offset, limit)
	if err != nil {
		t.Fatalf("read %s of %s at %d: %v", stream, r, offset, err)
	}
	return string(data)
}

func testNoLog(t *testing.T, l coordinator.LogStore) {
	equal(t, "log", readLog(t, l, attemptOne, "stdout", 0, 100), "")
	equal(t, "log", readLog(t, l, attemptOne, "stdout", 50, 100), "")
	appendLog(t, l, 0, attemptOne, "stdout", 0, "")
	equal(t, "log", readLog(t, l, attemptOne, "stdout", 0, 100), "")
}

func testLogBytes(t *testing.T, l coordinator.LogStore) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	given := bytes.Clone(all)
	for i := 0; i < len(given); i += 64 {
		next, err := l.Append(attemptOne, "stderr", int64(i), given[i:i+64])
		if err != nil || next != int64(i+64) {
			t.Fatalf("append at %d: %d, %v", i, next, err)
		}
		clear(given[i : i+64]) // the caller's again
	}
	for _, test := range []struct {
		offset int64
		limit  int
		want   []byte
	}{
		{0, 1000, all}, {0, 256, all}, {0, 10, all[:10]}, {100, 10, all[100:110]}, {250, 10, all[250:]},
		{256, 10, nil}, {1000, 10, nil}, {5, 0, nil},
	} {
		got := readLog(t, l, attemptOne, "stderr", test.offset, test.limit)
		equal(t, fmt.Sprintf("%d bytes at %d", test.limit, test.offset), got, string(test.want))
	}
}

func testLogRepeats(t *testing.T, l coordinator.LogStore) {
	appendLog(t, l, 5, attemptOne, "stdout", 0, "hello")
	appendLog(t, l, 5, attemptOne, "stdout", 0, "hello")
	appendLog(t, l, 5, attemptOne, "stdout", 2, "ll")
	appendLog(t, l, 5, attemptOne, "stdout", 0, "HELLO")
	appendLog(t, l, 11, attemptOne, "stdout", 3, "lo world")
	equal(t, "log", readLog(t, l, attemptOne, "stdout", 0, 100), "hello world")
}

func testLogGaps(t *testing.T, l coordinator.LogStore) {
	appendLog(t, l, 0, attemptOne, "stdout", 3, "lo")
	appendLog(t, l, 5, attemptOne, "stdout", 0, "hello")
	appendLog(t, l, 5, attemptOne, "stdout", 6, "world")
	appendLog(t, l, 5, attemptOne, "stdout", -1, "world")
	equal(t, "log", readLog(t, l, attemptOne, "stdout", 0, 100), "hello")
}

func testLogStreams(t *testing.T, l coordinator.LogStore) {
	refs := []sweeps.AttemptRef{ref("s", 0, 1), ref("s", 0, 2), ref("s", 1, 1), ref("s", 11, 1), ref("s1", 1, 1)}
	for _, r := range refs {
		for _, stream := range []string{"stdout", "stderr"} {
			text := fmt.Sprint(r, stream)
			appendLog(t, l, int64(len(text)), r, stream, 0, text)
		}
	}
	for _, r := range refs {
		for _, stream := range []string{"stdout", "stderr"} {
			equal(t, "log", readLog(t, l, r, stream, 0, 100), fmt.Sprint(r, stream))
		}
	}
}

func testLogConcurrent(t *testing.T, l coordinator.LogStore) {
	want := bytes.Repeat([]byte("0123456789\n"), 200)
	var wg sync.WaitGroup
	for range 4 { // four senders of the same bytes
		wg.Go(func() {
			for i := 0; i < len(want); i += 11 {
				if next, err := l.Append(attemptOne, "stdout", int64(i), want[i:i+11]); err != nil || next < int64(i+11) {
					t.Errorf("append at %d: %d, %v", i, next, err)
					return
				}
			}
		})
	}
	wg.Wait()
	equal(t, "log", readLog(t, l, attemptOne, "stdout", 0, 2*len(want)), string(want))
}

package exec

import (
	"strings"
	"testing"

	"swath/sweeps"
	"swath/trainer/report"
)

// What real processes cannot be made to show everywhere; the rest is in exec_test.go.
func TestOutcomeOfAnEnding(t *testing.T) {
	trace := "warming up\npanic: index out of range [3]\n\ngoroutine 1 [running]:\nmain.main()\n\t/src/main.go:7 +0x1d\nexit status 2\n"
	for _, tc := range []struct {
		name    string
		e       ending
		class   sweeps.Class
		message string
	}{
		{"the kernel's SIGKILL", ending{code: -1, signal: "SIGKILL", oomKill: true}, sweeps.ClassOOM, "killed by SIGKILL: the kernel ran out of memory"},
		{"the same, seen by a shell", ending{code: 137, oomKill: true}, sweeps.ClassOOM, "exit code 137: the kernel"},
		{"137 without evidence", ending{code: 137}, sweeps.ClassSignal, "exit code 137"},
		{"an OOM kill of somebody else", ending{code: 1, oomKill: true}, sweeps.ClassExit, "exit code 1"},
		{"abort for want of memory", ending{code: -1, signal: "SIGABRT", stderr: "terminate called after throwing an instance of 'std::bad_alloc'\n"}, sweeps.ClassOOM, "killed by SIGABRT"},
		{"a handled error with a similar name", ending{code: 1, stderr: "caught MemoryError, going on\nValueError: x\n"}, sweeps.ClassExit, "ValueError: x"},
		{"a Go panic", ending{code: 2, stderr: trace}, sweeps.ClassExit, "exit code 2: panic: index out of range [3]"},
		{"a script that is not there", ending{code: 2, stderr: "python3: can't open file '/x/train.py': [Errno 2] No such file or directory\n"}, sweeps.ClassSpec, "can't open file"},
		{"our stop before all else", ending{code: 0, stop: &stop{class: sweeps.ClassTimeout, message: "m"}, end: &report.End{Class: report.ClassDiverged}}, sweeps.ClassTimeout, "m"},
		{"done when our stop came, and it says so", ending{code: 0, stop: &stop{class: sweeps.ClassPreempted, message: "m"}, end: &report.End{Class: report.ClassOK}}, sweeps.ClassOK, ""},
		{"it says so, and fails", ending{code: 1, stop: &stop{class: sweeps.ClassPreempted, message: "m"}, end: &report.End{Class: report.ClassOK}}, sweeps.ClassPreempted, "m"},
		{"an orderly exit after our stop", ending{code: 0, stop: &stop{class: sweeps.ClassPreempted, message: "m"}}, sweeps.ClassPreempted, "m"},
		{"diverged on a signal", ending{code: -1, signal: "SIGSEGV", end: &report.End{Class: report.ClassDiverged, Message: "NaN"}}, sweeps.ClassDiverged, "NaN"},
		{"colours and control characters", ending{code: 1, stderr: "\x1b[31mError:\x1b[0m \tbad\x00 \xff thing\r\n"}, sweeps.ClassExit, "Error:  bad \uFFFD thing"},
	} {
		o := tc.e.outcome()
		if o.Class != tc.class || !strings.Contains(o.Message, tc.message) || o.ExitCode != tc.e.code {
			t.Errorf("%s: outcome %+v, want class %s and %q", tc.name, o, tc.class, tc.message)
		}
	}
}

func TestOneLineIsBoundedAndWhole(t *testing.T) {
	for _, text := range []string{strings.Repeat("ä", 300), "x" + strings.Repeat("ä", 300), strings.Repeat("a\xff", 200)} {
		got := oneLine(text)
		if len(got) > 200 || len(got) < 190 || !strings.HasSuffix(got, "…") || strings.ToValidUTF8(got, "") != got {
			t.Errorf("%d bytes: %q", len(got), got)
		}
	}
	if got := oneLine(" short "); got != "short" {
		t.Errorf("got %q", got)
	}
}

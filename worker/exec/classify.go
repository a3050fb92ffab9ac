package exec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"swath/sweeps"
	"swath/trainer/report"
)

// ending is all that is known of how an attempt ended.
type ending struct {
	code   int    // exit code, -1 where a signal killed the leader
	signal string // its name, as in SIGSEGV; empty where the leader exited
	stop   *stop  // the stop that was asked for, nil for none
	killed bool   // whether the stop took SIGKILL
	// oomKill says that the kernel killed for want of memory while the attempt ran.
	oomKill bool
	end     *report.End // the trainer's own word, nil where it said nothing
	errText string      // its explanation; empty where it gave none
	stderr  string      // the end of standard error
}

// How a shell says that its child died of SIGINT, SIGKILL or SIGTERM.
const (
	exitInterrupted = 128 + 2
	exitKilled      = 128 + 9
	exitTerminated  = 128 + 15
)

// failed reports whether the leader did not end well.
func (e ending) failed() bool { return e.code != 0 || e.signal != "" }

// terminated reports whether the leader died of being asked to end.
func (e ending) terminated() bool {
	return e.signal == "SIGTERM" || e.signal == "SIGINT" || e.code == exitTerminated || e.code == exitInterrupted
}

// outcome decides the class. What we did comes first, unless the trainer was done and says
// so; then what the trainer says, then the code, refined by what is known of its cause.
func (e ending) outcome() sweeps.Outcome {
	out := func(class sweeps.Class, message string) sweeps.Outcome {
		return sweeps.Outcome{Class: class, ExitCode: e.code, Message: message}
	}
	ok := !e.failed()
	if ok && e.end != nil && e.end.Class == report.ClassOK {
		return out(sweeps.ClassOK, "")
	}
	if e.stop != nil {
		message := e.stop.message
		if e.killed {
			message += "; it did not end on SIGTERM and was killed"
		}
		return out(e.stop.class, message)
	}
	if e.end != nil && e.end.Class != report.ClassOK {
		class, err := sweeps.ParseClass(e.end.Class)
		if err != nil {
			class = sweeps.ClassExit
		}
		return out(class, firstNonEmpty(oneLine(e.end.Message), oneLine(e.errText), "the trainer reported its end as "+e.end.Class))
	}
	if ok {
		return out(sweeps.ClassOK, "")
	}
	what := fmt.Sprintf("exit code %d", e.code)
	if e.signal != "" {
		what = "killed by " + e.signal
	}
	why := firstNonEmpty(oneLine(e.errText), lastLine(e.stderr))
	message := what
	if why != "" {
		message += ": " + why
	}
	kill := e.signal == "SIGKILL" || e.code == exitKilled
	switch {
	case kill && e.oomKill:
		return out(sweeps.ClassOOM, what+": the kernel ran out of memory")
	case outOfMemory.MatchString(e.stderr):
		return out(sweeps.ClassOOM, message)
	case kill:
		return out(sweeps.ClassSignal, message+" (the kernel out of memory, or somebody's kill -9)")
	case e.signal != "":
		return out(sweeps.ClassSignal, message)
	case e.code == report.ExitSpec, e.code == 2 && badUsage.MatchString(lastLine(e.stderr)):
		return out(sweeps.ClassSpec, message)
	default:
		return out(sweeps.ClassExit, message)
	}
}

// outOfMemory matches the words in which the usual runtimes die for want of memory:
// PyTorch and CUDA, Python and NumPy, JAX and TensorFlow, C++, Go, Java, malloc.
var outOfMemory = regexp.MustCompile(`CUDA out of memory|HIP out of memory|CUDA_ERROR_OUT_OF_MEMORY|OutOfMemoryError|` +
	`(?m:^[\w.]*MemoryError\b)|RESOURCE_EXHAUSTED: Out of memory|std::bad_alloc|` +
	`fatal error: runtime: out of memory|(?i:cannot allocate memory)`)

// badUsage matches what interpreters say of a script that is not there and Python's
// argparse of a command line that it refuses, both with exit code 2. Every attempt would
// end alike.
var badUsage = regexp.MustCompile(`^\S*python\S*: can't open file |^\S*sh: \d+: [Cc]an(not|'t) open |` +
	`^[^:]+: error: (unrecognized arguments|the following arguments are required|argument |one of the arguments )`)

func firstNonEmpty(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// lastLine returns the last line of standard error that says something: of a Go program
// that panicked, the line that says so instead of the last one of the trace.
func lastLine(stderr string) string {
	last := ""
	for line := range strings.FieldsFuncSeq(stderr, func(r rune) bool { return r == '\n' || r == '\r' }) {
		line = oneLine(line)
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			if strings.Contains(stderr, "\ngoroutine ") {
				return line
			}
		}
		if line != "" {
			last = line
		}
	}
	return last
}

// oneLine returns the text on one line of printable characters, 200 bytes at most.
func oneLine(text string) string {
	const limit = 200
	text = strings.ToValidUTF8(string(report.PlainText([]byte(text))), "�")
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, text)
	text = strings.TrimSpace(text)
	if len(text) <= limit {
		return text
	}
	const ellipsis = "…"
	n := limit - len(ellipsis)
	for !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + ellipsis
}

// fileTail returns the last n bytes of a file, and their offset; nothing of a file that
// cannot be read.
func fileTail(path string, n int64) (tail []byte, offset int64) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0
	}
	defer func() { _ = f.Close() }() // opened for reading
	st, err := f.Stat()
	if err != nil {
		return nil, 0
	}
	offset = max(0, st.Size()-n)
	tail, err = io.ReadAll(io.NewSectionReader(f, offset, n))
	if err != nil {
		return nil, 0
	}
	return tail, offset
}

// lastWords returns the trainer's own word on its end, where the last 64 KiB of its
// report have one.
func lastWords(path string) (end *report.End, errText string) {
	tail, offset := fileTail(path, 64<<10)
	if !bytes.Contains(tail, []byte(`"end"`)) && !bytes.Contains(tail, []byte(`"error"`)) {
		return nil, "" // the ordinary case costs no parsing
	}
	if offset > 0 { // the first line is not whole
		offset += int64(bytes.IndexByte(tail, '\n') + 1)
	}
	r := report.NewReader(path, report.Position{Offset: offset})
	defer func() { _ = r.Close() }() // opened for reading
	r.Finish()
	for {
		rec, err := r.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				return nil, ""
			}
			return end, errText
		}
		if rec.End != nil {
			end = rec.End
		}
		if rec.Error != "" {
			errText = rec.Error
		}
	}
}

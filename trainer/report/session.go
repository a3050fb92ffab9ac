package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Session is the writing half of the protocol: what a trainer was given, and its way to
// report. Its methods may be called by several goroutines; its fields are not changed
// after it was made.
type Session struct {
	Params        json.RawMessage // one JSON object
	ReportPath    string          // the report file; empty when run by hand
	CheckpointDir string
	ArtifactDir   string
	DataDir       string // empty where there is none
	Sweep         string // empty when run by hand
	Trial         string // likewise
	Attempt       int    // from 1; 1 when run by hand
	CPUs          int    // cores to use; 0 where there is no limit
	Seed          int64  // 0 where HasSeed is false
	HasSeed       bool   // whether the parameters have a seed

	mu     sync.Mutex
	file   *os.File  // the report file once something was written
	broken bool      // the last write may have left half a line
	out    io.Writer // for Print, and for metrics when run by hand
}

// FromEnv returns the session that the environment describes. Without SWATH_REPORT the
// trainer is run by hand: metrics are printed on standard output, parameters are those
// of SWATH_PARAMS or none, and folders that are not named are below the working
// directory's "swath-out".
func FromEnv() (*Session, error) {
	s := &Session{
		Params:        json.RawMessage("{}"),
		ReportPath:    os.Getenv(EnvReport),
		CheckpointDir: os.Getenv(EnvCheckpointDir),
		ArtifactDir:   os.Getenv(EnvArtifactDir),
		DataDir:       os.Getenv(EnvData),
		Sweep:         os.Getenv(EnvSweep),
		Trial:         os.Getenv(EnvTrial),
		out:           os.Stdout,
	}
	var err error
	if s.Attempt, err = envInt(EnvAttempt, 1); err != nil {
		return nil, err
	}
	if s.CPUs, err = envInt(EnvCPUs, 0); err != nil {
		return nil, err
	}
	if path := os.Getenv(EnvParams); path != "" {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read the trial's parameters (%s): %w", EnvParams, err)
		}
		s.Params = b
	}
	if err := s.readSeed(); err != nil {
		return nil, err
	}
	if v := os.Getenv(EnvSeed); v != "" {
		if s.Seed, err = strconv.ParseInt(v, 10, 64); err != nil {
			return nil, fmt.Errorf("%s=%q is not an integer", EnvSeed, v)
		}
		s.HasSeed = true
	}
	return s, s.makeDirs("swath-out")
}

// NewSession returns a session without a worker, for tests and for running a trainer by
// hand: params is one JSON object (nil for none), the folders are made below dir, and
// metrics are printed to out as lines that a [Scanner] understands.
func NewSession(params json.RawMessage, dir string, out io.Writer) (*Session, error) {
	if len(params) == 0 {
		params = json.RawMessage("{}")
	}
	s := &Session{Params: params, Attempt: 1, out: out}
	if err := s.readSeed(); err != nil {
		return nil, err
	}
	return s, s.makeDirs(dir)
}

func envInt(name string, otherwise int) (int, error) {
	v := os.Getenv(name)
	if v == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s=%q is not a count", name, v)
	}
	return n, nil
}

// readSeed checks that the parameters are an object and takes the seed from them.
func (s *Session) readSeed() error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(s.Params, &fields); err != nil {
		return fmt.Errorf("the trial's parameters are not a JSON object: %w", err)
	}
	if raw, ok := fields["seed"]; ok {
		s.Seed, s.HasSeed = rawInteger(raw)
	}
	return nil
}

func (s *Session) makeDirs(dir string) error {
	for _, d := range []struct {
		path *string
		name string
	}{{&s.CheckpointDir, "checkpoint"}, {&s.ArtifactDir, "artifacts"}} {
		if *d.path == "" {
			*d.path = filepath.Join(dir, d.name)
		}
		if err := os.MkdirAll(*d.path, 0o755); err != nil {
			return fmt.Errorf("make the trainer's folders: %w", err)
		}
	}
	return nil
}

// Decode decodes the parameters into the struct that v points to. A parameter that the
// struct has no field for, or of another type, is an error that wraps [ErrSpec].
func (s *Session) Decode(v any) error {
	d := json.NewDecoder(bytes.NewReader(s.Params))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w: %s", ErrSpec, strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

// Report records the metrics' values at a step. Values may be NaN or infinite. Each call
// appends one line in one write, so that a reader never sees two lines mixed.
func (s *Session) Report(step int64, metrics map[string]float64) error {
	if len(metrics) == 0 {
		return nil
	}
	if s.ReportPath == "" {
		return s.Print(step, metrics)
	}
	b := append(make([]byte, 0, 128), `{"step":`...)
	b = strconv.AppendInt(b, step, 10)
	b = append(b, `,"time":"`...)
	b = time.Now().UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","metrics":{`...)
	for i, name := range sortedNames(metrics) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, name)
		b = append(b, ':')
		b = appendValue(b, metrics[name])
	}
	return s.append(append(b, "}}\n"...))
}

// Print prints the metrics on standard output as "step=3 loss=0.31" instead of
// reporting them. Names that hold spaces or equals signs cannot be found again.
func (s *Session) Print(step int64, metrics map[string]float64) error {
	b := strconv.AppendInt([]byte("step="), step, 10)
	for _, name := range sortedNames(metrics) {
		b = append(append(append(b, ' '), name...), '=')
		b = strconv.AppendFloat(b, metrics[name], 'g', -1, 64)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.out.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("print metrics: %w", err)
	}
	return nil
}

// Progress reports the fraction done, 0 to 1, at a step.
func (s *Session) Progress(fraction float64, step int64) error {
	if s.ReportPath == "" || math.IsNaN(fraction) {
		return nil
	}
	b := strconv.AppendFloat([]byte(`{"progress":`), min(max(fraction, 0), 1), 'g', -1, 64)
	b = append(b, `,"step":`...)
	b = strconv.AppendInt(b, step, 10)
	return s.append(append(b, "}\n"...))
}

// End reports how the trainer is about to end; class is one of the Class constants.
func (s *Session) End(class, message string) error {
	if !knownClass(class) {
		return fmt.Errorf("report the end: unknown class %q", class)
	}
	if s.ReportPath == "" {
		return nil
	}
	b := append([]byte(`{"end":{"class":`), appendString(nil, class)...)
	b = append(b, `,"message":`...)
	b = appendString(b, message)
	return s.append(append(b, "}}\n"...))
}

// Finish reports the end that an error stands for, closes the session and returns the
// exit code: 0 for nil; for others what [ErrDiverged], [ErrSpec] or the error's own
// method ExitCode() int say. The caller prints the error.
func (s *Session) Finish(err error) (code int) {
	code = ExitOK
	var coder interface{ ExitCode() int }
	switch {
	case err == nil:
	case errors.Is(err, ErrDiverged):
		code = ExitFailed
		_ = s.End(ClassDiverged, err.Error()) // the exit code remains if this fails
	case errors.Is(err, ErrSpec):
		code = ExitSpec
		_ = s.End(ClassSpec, err.Error())
	case errors.As(err, &coder):
		code = coder.ExitCode()
	default:
		code = ExitFailed
	}
	if cerr := s.Close(); cerr != nil && code == ExitOK {
		code = ExitFailed
	}
	return code
}

// Close closes the report file. A session that reports again opens it again.
func (s *Session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	if err != nil {
		return fmt.Errorf("close the report file: %w", err)
	}
	return nil
}

// append writes one line to the report file in one call.
func (s *Session) append(line []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		f, err := os.OpenFile(s.ReportPath, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return fmt.Errorf("open the report file: %w", err)
		}
		s.file = f
	}
	if s.broken { // end the half line, so that it costs no other line
		line = append([]byte{'\n'}, line...)
	}
	_, err := s.file.Write(line)
	s.broken = err != nil
	if err != nil {
		return fmt.Errorf("write to the report file: %w", err)
	}
	return nil
}

func sortedNames(metrics map[string]float64) []string {
	names := make([]string, 0, len(metrics))
	for name := range metrics {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// appendString appends s as a JSON string.
func appendString(b []byte, s string) []byte {
	quoted, err := json.Marshal(s)
	if err != nil { // a string can always be marshalled
		return append(b, `""`...)
	}
	return append(b, quoted...)
}

// appendValue appends v as JSON; NaN and the infinities, which JSON lacks, as strings.
func appendValue(b []byte, v float64) []byte {
	switch {
	case math.IsNaN(v):
		return append(b, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(b, `"-Infinity"`...)
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}

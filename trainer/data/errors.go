package data

import (
	"fmt"
	"slices"
	"strings"
)

// MissingError says that the files of a data set are not where they were looked for.
type MissingError struct {
	Set       string   // the set's name
	Looked    []string // what was looked for, each as "FILE in FOLDER" or a path; empty where no folder was given
	Fetchable bool     // whether `swath data fetch` can download the set

	Unfinished string // what an interrupted download has left; empty otherwise
}

// Error tells what was looked for, where, and the ways out.
func (e *MissingError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "data set %s is missing: ", e.Set)
	if len(e.Looked) == 0 {
		b.WriteString("no data folder was given; ")
	} else {
		fmt.Fprintf(&b, "looked for %s; ", enumerate(e.Looked, "and"))
	}
	switch {
	case e.Unfinished != "":
		fmt.Fprintf(&b, "an unfinished download is in %s: `swath data fetch %s` goes on with it, or ", e.Unfinished, e.Set)
	case e.Fetchable:
		fmt.Fprintf(&b, "`swath data fetch %s` downloads it, or ", e.Set)
	}
	b.WriteString("--data DIR (SWATH_DATA) points to the folder that holds it")
	return b.String()
}

// RequestError says that a set does not have what [Options] ask for, or not in this way.
type RequestError struct {
	Option string // the field of Options that asks for it: Train, Test, Size or Class
	Reason string // what the set has, and what to ask for instead
}

func (e *RequestError) Error() string { return e.Reason }

// kind is a split in words.
type kind string

const (
	trainImages kind = "training"
	testImages  kind = "test"
)

// tooFew says that a set has no such number of images, of a class unless that is empty.
func tooFew(set string, k kind, class string, asked, have int) *RequestError {
	e := &RequestError{Option: "Train"}
	if k == testImages {
		e.Option = "Test"
	}
	if class != "" {
		class = " of class " + class
	}
	e.Reason = fmt.Sprintf("%s has %s %s images%s, not %s (use at most %s, or 0 for all)", set, grouped(int64(have)), k, class, grouped(int64(asked)), grouped(int64(have)))
	return e
}

func noSize(set string, size, least, most int) *RequestError {
	return &RequestError{Option: "Size", Reason: fmt.Sprintf("%s has no images of %d pixels (use %d to %d)", set, size, least, most)}
}

func noClass(set string, classes []string, class string) *RequestError {
	hint := "it"
	if near := nearest(class, classes); near != "" {
		hint = fmt.Sprintf("did you mean %q? It", near)
	}
	return &RequestError{Option: "Class", Reason: fmt.Sprintf("%s has no class %q; %s has %s", set, class, hint, enumerate(classes, "and"))}
}

// someOf is enumerate of the first few items, and how many more there are.
func someOf(items []string) string {
	const few = 5
	if len(items) > few {
		items = append(slices.Clone(items[:few]), grouped(int64(len(items)-few))+" more")
	}
	return enumerate(items, "and")
}

// enumerate joins items as in "a, b and c".
func enumerate(items []string, conjunction string) string {
	if len(items) < 2 {
		return strings.Join(items, "")
	}
	last := len(items) - 1
	return strings.Join(items[:last], ", ") + " " + conjunction + " " + items[last]
}

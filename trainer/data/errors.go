package data

import (
	"fmt"
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

// enumerate joins items as in "a, b and c".
func enumerate(items []string, conjunction string) string {
	if len(items) < 2 {
		return strings.Join(items, "")
	}
	last := len(items) - 1
	return strings.Join(items[:last], ", ") + " " + conjunction + " " + items[last]
}

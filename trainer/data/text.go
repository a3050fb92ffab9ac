package data

import (
	"strconv"
	"strings"
)

// grouped prints a count with a comma between thousands.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// nearest returns the known name that is closest to an unknown one, or "" where none is close enough to be meant.
func nearest(name string, known []string) string {
	best, least := "", len(name)/3+2
	for _, k := range known {
		if len(name) >= 3 && strings.Contains(k, strings.ToLower(name)) {
			return k
		}
		if dist := editDistance(strings.ToLower(name), k); dist < least {
			best, least = k, dist
		}
	}
	return best
}

// editDistance is Levenshtein's: insertions, deletions and replacements, each counted as one.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

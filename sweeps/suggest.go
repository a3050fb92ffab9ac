package sweeps

import (
	"sort"
	"strings"
)

// didYouMean returns `; did you mean "x"?` for the candidate that is closest to
// word, or nothing if none is close.
func didYouMean(word string, candidates []string) string {
	if c := closest(word, candidates); c != "" {
		return `; did you mean "` + c + `"?`
	}
	return ""
}

// closest returns the candidate that is most like word, but not word itself; empty if
// none is like it.
func closest(word string, candidates []string) string {
	best, bestDistance := "", 1+max(1, len(word)/3)
	sorted := append([]string(nil), candidates...)
	sort.Strings(sorted)
	for _, c := range sorted {
		if d := editDistance(strings.ToLower(word), strings.ToLower(c)); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	if best == word {
		return ""
	}
	return best
}

// editDistance counts the insertions, deletions, substitutions and swaps of
// neighbours that turn a into b.
func editDistance(a, b string) int {
	s, t := []rune(a), []rune(b)
	const farAway = 1 << 20
	if len(s) > 64 || len(t) > 64 {
		return farAway
	}
	var two, one []int // the rows for i-2 and i-1
	row := make([]int, len(t)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(s); i++ {
		two, one, row = one, row, make([]int, len(t)+1)
		row[0] = i
		for j := 1; j <= len(t); j++ {
			cost := 1
			if s[i-1] == t[j-1] {
				cost = 0
			}
			row[j] = min(one[j]+1, row[j-1]+1, one[j-1]+cost)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				row[j] = min(row[j], two[j-2]+1)
			}
		}
	}
	return row[len(t)]
}

package sweeps

import (
	"slices"
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

// Nearest returns the candidate that a word most likely stands for: the shortest that begins with it, else the one that
// is most like it, if any is. It is empty if the word is a candidate.
func Nearest(word string, candidates []string) string {
	if slices.Contains(candidates, word) {
		return ""
	}
	best := ""
	for _, c := range candidates {
		longer := len(word) > 1 && strings.HasPrefix(strings.ToLower(c), strings.ToLower(word))
		if longer && (best == "" || len(c) < len(best) || len(c) == len(best) && c < best) {
			best = c
		}
	}
	if best != "" {
		return best
	}
	return closest(word, candidates)
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

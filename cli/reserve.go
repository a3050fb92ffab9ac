package cli

import (
	"fmt"
	"strconv"
	"strings"

	"swath/coordinator/disk"
	"swath/sweeps"
)

// reserve is how much of a disk is kept free: below it nothing new begins, so that what
// runs can end well.
type reserve struct {
	bytes   int64
	percent float64 // of the disk
	least   bool    // whichever of the two is less; else their sum, one of them being 0
}

// defaultReserve keeps little of a small disk, and of a large one no more than it takes.
var defaultReserve = reserve{bytes: 500 << 20, percent: 1, least: true}

// parseReserve reads an amount (2GiB), a part of the disk (5%), or 0 for none.
func parseReserve(text string) (reserve, error) {
	if number, is := strings.CutSuffix(text, "%"); is {
		p, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !(p >= 0 && p < 100) {
			return reserve{}, fmt.Errorf("%q is no part of a disk", text)
		}
		return reserve{percent: p}, nil
	}
	n, err := sweeps.ParseBytes(text)
	if err != nil {
		return reserve{}, err
	}
	return reserve{bytes: n}, nil
}

// of is the reserve of a disk of that size, in bytes.
func (r reserve) of(total int64) int64 {
	part := int64(r.percent / 100 * float64(total))
	if r.least {
		return min(r.bytes, part)
	}
	return r.bytes + part
}

// room returns a function that says why nothing new should begin on the home's disk; empty
// if there is room, or nobody knows.
func (a *app) room() func() string {
	return func() string {
		free, total, known := disk.Space(a.cfg.Home)
		least := a.cfg.DiskReserve.of(total)
		if !known || free >= least {
			return ""
		}
		return fmt.Sprintf("the disk of %s has %s left, and %s are the reserve", a.cfg.Home, sweeps.FormatBytes(free), sweeps.FormatBytes(least))
	}
}

// full reports whether the home's disk has no room even for what little a trial leaves.
func (a *app) full() bool {
	free, _, known := disk.Space(a.cfg.Home)
	return known && free < leastSpace
}

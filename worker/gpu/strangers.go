package gpu

import (
	"fmt"

	"swath/sweeps"
)

// Trial is a trial's process on this machine, and the devices that it was given.
type Trial struct {
	PID    int
	Report string // SWATH_REPORT in the environment of its processes
	Name   string // for messages
	GPUs   []sweeps.GPUShare
}

func (t Trial) holds(id string) bool {
	for _, s := range t.GPUs {
		if s.GPU == id {
			return true
		}
	}
	return false
}

const (
	// trifle is how much of a device's memory a process may have without being counted:
	// monitors and CUDA's own server for several processes have less, a program that
	// computes has more for its context alone.
	trifle = 100 << 20
	// unseenLeast is how much of a device's memory may be in use by nobody that can be
	// seen: the driver's own, a desktop's. Of a large device it is a twentieth.
	unseenLeast = 2 << 30
)

// Strangers says of each device of the set which others use it, and is empty for those that
// nobody does. A process is a trial's if a trial's process is among its ancestors, or if its
// environment is the trial's; it is a stranger on a device that the trial was not given, so
// a trial that asked for no GPU and uses one counts as one. Where processes cannot be seen,
// as in many containers, a device on which much memory is in use counts as used.
func (s Set) Strangers(r Reading, trials []Trial) map[string]string {
	busy := map[string]string{}
	present := map[string]bool{}
	for _, d := range r.Devices {
		present[d.ID] = true
	}
	for _, d := range s.Devices {
		if why := s.stranger(d, r, trials, present); why != "" {
			busy[d.ID] = why
		}
	}
	return busy
}

func (s Set) stranger(d Device, r Reading, trials []Trial, present map[string]bool) string {
	if !present[d.ID] {
		return "the driver does not list it any more"
	}
	held := false
	for _, t := range trials {
		held = held || t.holds(d.ID)
	}
	for _, p := range r.Processes {
		if p.GPU != d.ID || p.Memory > 0 && p.Memory < trifle {
			continue
		}
		owner, seen := ownerOf(p.PID, trials)
		switch {
		case !seen: // it has ended, or runs where it cannot be looked at
		case owner == nil:
			return "used by " + p.describe()
		case !owner.holds(d.ID):
			return fmt.Sprintf("used by %s of trial %s, which was not given it", p.describe(), owner.Name)
		}
	}
	for _, now := range r.Devices {
		if now.ID == d.ID && !held && now.Used > max(unseenLeast, now.Memory/20) {
			return sweeps.FormatBytes(now.Used) + " of its memory are used, by processes that cannot be seen from here"
		}
	}
	return ""
}

func (p Process) describe() string {
	s := fmt.Sprintf("pid %d", p.PID)
	if p.Name != "" {
		s += " (" + p.Name + ")"
	}
	if p.Memory > 0 {
		s += ", " + sweeps.FormatBytes(p.Memory)
	}
	return s
}

package gpu

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"swath/sweeps"
)

// Set is the devices that a worker may give to trials.
type Set struct {
	Vendor  Vendor // empty where no tool told of the devices
	Devices []Device
	// Note says why there are fewer than one might think; empty if nothing is to be said.
	Note string
}

// Find returns the devices of this machine that the worker may use:
//
//   - those that its own environment shows it, by CUDA_VISIBLE_DEVICES, or, of AMD's, by
//     ROCR_VISIBLE_DEVICES or HIP_VISIBLE_DEVICES; lookup is os.LookupEnv. Numbers are those of
//     the PCI bus, as nvidia-smi counts.
//   - of those, what want says: "all" or nothing, "none", how many, or device=0,2 with
//     numbers or UUIDs.
//
// A driver that does not answer is no error: there are no devices then, and a note. An
// error is of want, and wraps sweeps.ErrInvalid.
func Find(ctx context.Context, want string, lookup func(string) (string, bool)) (Set, error) {
	if want == "none" || want == "0" {
		return Set{}, nil
	}
	r, err := Read(ctx)
	set := Set{Vendor: r.Vendor, Devices: visible(r, lookup)}
	switch {
	case errors.Is(err, ErrNone):
		set.Vendor = ""
		if want != "" && want != "all" {
			return unseen(want)
		}
	case err != nil:
		set.Note = "its GPUs are not known: " + err.Error()
	case len(set.Devices) < len(r.Devices):
		set.Note = fmt.Sprintf("of %d GPUs, the worker's own environment shows it %d", len(r.Devices), len(set.Devices))
	}
	if want == "" || want == "all" {
		return set, nil
	}
	if set.Devices, err = choose(set.Devices, want); err != nil {
		return set, fmt.Errorf("%w: --gpus %s: %w", sweeps.ErrInvalid, want, err)
	}
	return set, nil
}

// visible are the devices that the environment shows.
func visible(r Reading, lookup func(string) (string, bool)) []Device {
	names := []string{"CUDA_VISIBLE_DEVICES"}
	if r.Vendor == AMD {
		// What is under ROCm's runtime first; what is above it counts what that shows.
		names = []string{"ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"}
	}
	list := r.Devices
	for i, name := range names {
		value, given := lookup(name)
		if !given {
			continue
		}
		if i > 0 {
			list = renumber(list)
		}
		list = named(list, value)
		if i > 0 {
			for j := range list {
				list[j].Index = indexOf(r.Devices, list[j].ID)
			}
		}
	}
	return list
}

func renumber(list []Device) (out []Device) {
	for i, d := range list {
		d.Index = i
		out = append(out, d)
	}
	return out
}

func indexOf(list []Device, id string) int {
	for _, d := range list {
		if d.ID == id {
			return d.Index
		}
	}
	return 0
}

// named are the devices of a list such as "0,2" or "GPU-8f2c,MIG-77…", as CUDA reads it: the
// first name that means nothing ends the list.
func named(devices []Device, list string) (out []Device) {
	for name := range strings.SplitSeq(list, ",") {
		d, ok := lookUp(devices, strings.TrimSpace(name))
		if !ok {
			break
		}
		out = append(out, d)
	}
	return out
}

// lookUp finds a device by its number, or by the beginning of its ID.
func lookUp(devices []Device, name string) (Device, bool) {
	n, err := strconv.Atoi(name)
	var found []Device
	for _, d := range devices {
		if err == nil && d.Index == n && d.Parent == "" || err != nil && name != "" && strings.HasPrefix(d.ID, name) {
			found = append(found, d)
		}
	}
	if len(found) != 1 {
		return Device{}, false
	}
	return found[0], true
}

// choose returns the devices that --gpus asks for.
func choose(devices []Device, want string) ([]Device, error) {
	if list, ok := strings.CutPrefix(want, "device="); ok {
		var out []Device
		for name := range strings.SplitSeq(list, ",") {
			d, ok := lookUp(devices, strings.TrimSpace(name))
			if !ok {
				return nil, fmt.Errorf("there is no GPU %q: %s", name, inventory(devices))
			}
			out = append(out, d)
		}
		return out, nil
	}
	n, err := strconv.Atoi(want)
	switch {
	case err != nil || n < 0:
		return nil, errors.New("want all, none, a number of GPUs, or device= and their numbers or UUIDs, as in device=0,2")
	case n > len(devices):
		return nil, fmt.Errorf("there are not so many: %s", inventory(devices))
	}
	return devices[:n], nil
}

func inventory(devices []Device) string {
	if len(devices) == 0 {
		return "the machine has none that the worker may use"
	}
	var names []string
	for _, d := range devices {
		names = append(names, fmt.Sprintf("%d (%s)", d.Index, d.ID))
	}
	return "the worker may use " + strings.Join(names, ", ")
}

// unseen makes the devices that --gpus asks for on a machine without a tool to ask.
func unseen(want string) (Set, error) {
	set := Set{Note: "its GPUs are taken from --gpus: " + ErrNone.Error()}
	names, listed := strings.CutPrefix(want, "device=")
	n, err := strconv.Atoi(want)
	switch {
	case listed:
		for i, name := range strings.Split(names, ",") {
			set.Devices = append(set.Devices, Device{GPU: sweeps.GPU{ID: strings.TrimSpace(name), Index: i}})
		}
	case err == nil && n > 0 && n <= 1024:
		for i := range n {
			set.Devices = append(set.Devices, Device{GPU: sweeps.GPU{ID: strconv.Itoa(i), Index: i}})
		}
	default:
		_, err := choose(nil, want)
		return Set{}, fmt.Errorf("%w: --gpus %s: %w", sweeps.ErrInvalid, want, err)
	}
	return set, nil
}

// Env returns the variables that show a process these devices and no others.
func (s Set) Env(shares []sweeps.GPUShare) []string {
	var ids, places []string
	for i, share := range shares {
		ids = append(ids, share.GPU)
		places = append(places, strconv.Itoa(i))
	}
	list, numbers := strings.Join(ids, ","), strings.Join(places, ",")
	switch s.Vendor {
	case NVIDIA:
		return []string{
			"CUDA_DEVICE_ORDER=PCI_BUS_ID", // the order of nvidia-smi; CUDA's own is by speed
			"CUDA_VISIBLE_DEVICES=" + list,
		}
	case AMD:
		// ROCm's runtime shows only these, and HIP, above it, counts them from 0. HIP reads
		// CUDA's variable, too, and what the worker inherited must not count.
		return []string{"ROCR_VISIBLE_DEVICES=" + list, "HIP_VISIBLE_DEVICES=" + numbers, "CUDA_VISIBLE_DEVICES=" + numbers}
	default:
		return []string{"CUDA_DEVICE_ORDER=PCI_BUS_ID", "CUDA_VISIBLE_DEVICES=" + list, "HIP_VISIBLE_DEVICES=" + list}
	}
}

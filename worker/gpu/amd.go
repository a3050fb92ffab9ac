package gpu

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"swath/sweeps"
)

func readAMD(ctx context.Context) (Reading, error) {
	out, err := ask(ctx, "rocm-smi", "--showuniqueid", "--showproductname", "--showmeminfo", "vram", "--showpids", "--json")
	if err != nil {
		return Reading{}, err
	}
	return parseAMD(out)
}

// parseAMD reads the answer of rocm-smi, an object with one for each card and one for the
// processes:
//
//	{"card0": {"Unique ID": "0x7f1e…", "Card series": "…",
//	           "VRAM Total Memory (B)": "68702699520", "VRAM Total Used Memory (B)": "10960896"},
//	 "system": {"PID4242": "python3, 1, 1073741824, 0, 0"}}
//
// The keys' names vary in case and wording from version to version. Warnings may stand
// before the object. In a process's line the second cell is how many GPUs it uses, or which
// ones ("0, 1" has been seen as "[0 1]"); that is not to be relied on, so a process is put
// on a device only if there is one device.
func parseAMD(text string) (Reading, error) {
	r := Reading{Vendor: AMD}
	begin := strings.IndexByte(text, '{')
	if begin < 0 {
		return r, fmt.Errorf("rocm-smi: %s", firstLine(text))
	}
	var cards map[string]map[string]any
	if err := json.NewDecoder(strings.NewReader(text[begin:])).Decode(&cards); err != nil {
		return r, fmt.Errorf("rocm-smi: the answer is not understood: %w", err)
	}
	for name, card := range cards {
		number, isCard := strings.CutPrefix(name, "card")
		index, err := strconv.Atoi(number)
		if !isCard || err != nil || index < 0 {
			continue
		}
		d := Device{GPU: sweeps.GPU{ID: number, Index: index}}
		for key, value := range card {
			text := strings.TrimSpace(fmt.Sprint(value))
			switch key = strings.ToLower(key); {
			case key == "unique id":
				if id, err := strconv.ParseUint(strings.TrimPrefix(strings.ToLower(text), "0x"), 16, 64); err == nil && id != 0 {
					d.ID = fmt.Sprintf("GPU-%016x", id) // as ROCR_VISIBLE_DEVICES wants it
				}
			case key == "card series":
				d.Model = known(text)
			case key == "vram total memory (b)":
				d.Memory = number64(text)
			case key == "vram total used memory (b)":
				d.Used = number64(text)
			}
		}
		r.Devices = append(r.Devices, d)
	}
	// The cards' numbers are in the order of the bus.
	slices.SortFunc(r.Devices, func(a, b Device) int { return a.Index - b.Index })
	if len(r.Devices) == 1 {
		r.Processes = amdProcesses(cards["system"], r.Devices[0].ID)
	}
	return r, nil
}

var pidKey = regexp.MustCompile(`^(?i:pid)\s*(\d+)$`)

// amdProcesses reads the processes of a machine with one device.
func amdProcesses(system map[string]any, device string) (list []Process) {
	for key, value := range system {
		m := pidKey.FindStringSubmatch(key)
		if m == nil {
			continue
		}
		pid, err := strconv.Atoi(m[1])
		if err != nil || pid <= 0 {
			continue
		}
		p := Process{GPU: device, PID: pid}
		if f := fields(fmt.Sprint(value)); len(f) >= 3 {
			p.Name, p.Memory = known(f[0]), number64(f[2])
		}
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b Process) int { return a.PID - b.PID })
	return list
}

// number64 is a number of bytes; 0 if it is none.
func number64(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

package gpu

import (
	"context"
	"regexp"
	"strconv"
	"strings"

	"swath/sweeps"
)

func readNVIDIA(ctx context.Context) (Reading, error) {
	const form = "--format=csv,noheader,nounits"
	devices, err := ask(ctx, "nvidia-smi", "--query-gpu=index,uuid,pci.bus_id,name,memory.total,memory.used", form)
	if err != nil {
		return Reading{}, err
	}
	r := Reading{Vendor: NVIDIA, Devices: parseNVIDIA(devices)}
	// Old drivers and old cards have no list of processes, and say so in many ways. What
	// the devices' memory tells has to do then.
	if apps, err := ask(ctx, "nvidia-smi", "--query-compute-apps=gpu_uuid,pid,process_name,used_gpu_memory", form); err == nil {
		r.Processes = parseApps(apps)
	}
	if parts, err := ask(ctx, "nvidia-smi", "-L"); err == nil {
		r.Devices = divide(r.Devices, parseParts(parts))
	}
	return r, nil
}

// parseNVIDIA reads the devices' lines, such as
//
//	0, GPU-73fe8c24-959a-…, 00000000:00:06.0, NVIDIA H200, 143771, 0
//
// with memory in MiB. A line that is no device's is skipped: warnings, and cards that fell
// off the bus, come among them.
func parseNVIDIA(text string) (list []Device) {
	for line := range strings.Lines(text) {
		f := fields(line)
		if len(f) < 6 || !strings.HasPrefix(f[1], "GPU-") {
			continue
		}
		index, err := strconv.Atoi(f[0])
		if err != nil || index < 0 {
			continue
		}
		n := len(f) // a name may have a comma in it
		list = append(list, Device{
			GPU:  sweeps.GPU{ID: f[1], Index: index, Model: known(strings.Join(f[3:n-2], ", ")), Memory: mebibytes(f[n-2])},
			Used: mebibytes(f[n-1]),
		})
	}
	return list
}

// parseApps reads the lines of processes, such as
//
//	GPU-73fe8c24-959a-…, 506, python3, 2566
func parseApps(text string) (list []Process) {
	for line := range strings.Lines(text) {
		f := fields(line)
		if len(f) < 4 {
			continue
		}
		pid, err := strconv.Atoi(f[1])
		if err != nil || pid <= 0 {
			continue
		}
		n := len(f)
		list = append(list, Process{GPU: f[0], PID: pid, Name: known(strings.Join(f[2:n-1], ", ")), Memory: mebibytes(f[n-1])})
	}
	return list
}

var (
	gpuLine = regexp.MustCompile(`^GPU \d+: .*\(UUID: (GPU-[^)\s]+)\)`)
	migLine = regexp.MustCompile(`^\s+(MIG (?:\S+\.)?(\d+)gb\S*)\s+Device\s+\d+: \(UUID: (MIG-[^)\s]+)\)`)
)

// parseParts reads `nvidia-smi -L`, which alone tells of the parts that a GPU is divided
// into:
//
//	GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6-…)
//	  MIG 3g.20gb     Device  0: (UUID: MIG-c7384736-…)
//
// It returns the parts by the ID of their GPU. Their memory is what the profile is called
// by, less what that is rounded up: the 1g.18gb of an H200 has 16 GiB.
func parseParts(text string) map[string][]Device {
	parts := map[string][]Device{}
	parent := ""
	for line := range strings.Lines(text) {
		if m := gpuLine.FindStringSubmatch(line); m != nil {
			parent = m[1]
		}
		m := migLine.FindStringSubmatch(line)
		if m == nil || parent == "" {
			continue
		}
		gb, err := strconv.ParseInt(m[2], 10, 32)
		if err != nil {
			continue
		}
		parts[parent] = append(parts[parent], Device{
			GPU:    sweeps.GPU{ID: m[3], Model: m[1], Memory: gb * 1e9 * 95 / 100},
			Parent: parent,
		})
	}
	return parts
}

// divide puts the parts of divided GPUs in their place.
func divide(devices []Device, parts map[string][]Device) (list []Device) {
	for _, d := range devices {
		of := parts[d.ID]
		if len(of) == 0 {
			list = append(list, d)
		}
		for _, p := range of {
			p.Index = d.Index
			p.Model = strings.TrimSpace(d.Model + " " + p.Model)
			list = append(list, p)
		}
	}
	return list
}

// fields are the cells of a line.
func fields(line string) []string {
	f := strings.Split(line, ",")
	for i := range f {
		f[i] = strings.TrimSpace(f[i])
	}
	return f
}

// known is a cell's text; empty where the driver has none: [N/A], [Not Supported], [Unknown
// Error], [Insufficient Permissions].
func known(cell string) string {
	if strings.HasPrefix(cell, "[") || cell == "N/A" {
		return ""
	}
	return strings.ToValidUTF8(cell[:min(len(cell), 256)], "")
}

// mebibytes is a cell's amount of memory in bytes; 0 where the driver does not tell.
func mebibytes(cell string) int64 {
	n, err := strconv.ParseInt(strings.TrimSuffix(cell, " MiB"), 10, 64)
	if err != nil || n < 0 || n > 1<<40 {
		return 0
	}
	return n << 20
}

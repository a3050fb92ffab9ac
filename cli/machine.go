package cli

import (
	"bytes"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"swath/sweeps"
)

// machineResources are what this machine offers: its cores, its memory, and its NVIDIA
// GPUs, as far as nvidia-smi lists them. CUDA_VISIBLE_DEVICES bounds the GPUs, as it does
// for every program.
func machineResources() sweeps.Resources {
	return sweeps.Resources{CPUs: float64(runtime.NumCPU()), GPUs: float64(gpus()), Memory: memory()}
}

func gpus() int {
	if v, set := os.LookupEnv("CUDA_VISIBLE_DEVICES"); set {
		if v == "" || v == "-1" {
			return 0
		}
		return len(strings.Split(v, ","))
	}
	out, err := exec.Command("nvidia-smi", "-L").Output()
	if err != nil {
		return 0 // no driver, no GPUs
	}
	n := 0
	for line := range bytes.Lines(out) {
		if bytes.HasPrefix(line, []byte("GPU ")) {
			n++
		}
	}
	return n
}

// memory is the machine's memory in bytes; 0 where the system does not tell.
func memory() int64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if len(fields) >= 2 && fields[0] == "MemTotal:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				return 0
			}
			return kib << 10
		}
	}
	return 0
}

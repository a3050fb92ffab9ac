package gpu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"swath/sweeps"
)

// Vendor says whose tool told of a device.
type Vendor string

// The vendors.
const (
	NVIDIA Vendor = "nvidia"
	AMD    Vendor = "amd"
)

// Device is a GPU, or a part of one that programs see as a device.
type Device struct {
	sweeps.GPU        // Busy is empty: a reading does not know whose the processes are
	Used       int64  // bytes of its memory, whoever uses them; 0 if it is not known
	Parent     string // the ID of the GPU that it is a part of; empty for a whole one
}

// Process is a program that computes on a device.
type Process struct {
	GPU    string // the device's ID
	PID    int
	Name   string
	Memory int64 // bytes; 0 if it is not known
}

// Reading is what the tools said.
type Reading struct {
	Vendor    Vendor // of all devices
	Devices   []Device
	Processes []Process
}

// Timeout is how long a tool may take. A driver that has to be loaded first takes
// seconds; one that hangs never answers.
const Timeout = 20 * time.Second

// ErrNone is what Read returns where there is no tool to ask: a machine without GPUs.
var ErrNone = errors.New("neither nvidia-smi nor rocm-smi is installed")

// Read asks the tools for the devices, in the order of the PCI bus, and for the processes
// on them. An error is of a tool that is there and does not answer, or is [ErrNone].
func Read(ctx context.Context) (Reading, error) {
	r, err := readNVIDIA(ctx)
	if err == nil && len(r.Devices) > 0 {
		return r, nil
	}
	amd, amdErr := readAMD(ctx)
	switch {
	case amdErr == nil && len(amd.Devices) > 0:
		return amd, nil
	case !errors.Is(err, ErrNone):
		return r, err
	default:
		return amd, amdErr
	}
}

// ask runs a tool and returns what it prints. It returns even if the tool never does.
func ask(ctx context.Context, tool string, args ...string) (string, error) {
	path, err := exec.LookPath(tool)
	if err != nil {
		return "", ErrNone
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	// A process that the kernel does not let go of stays behind; its pipes do not keep us.
	cmd.WaitDelay = time.Second
	var out, bad head
	cmd.Stdout, cmd.Stderr = &out, &bad
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("%s does not answer: the driver hangs, or takes longer than %s", tool, Timeout)
	case err != nil:
		return "", fmt.Errorf("%s: %s (%w)", tool, firstLine(string(out.b)+"\n"+string(bad.b)), err)
	}
	return string(out.b), nil
}

// head keeps the beginning of what is written to it.
type head struct{ b []byte }

func (h *head) Write(p []byte) (int, error) {
	const enough = 1 << 20
	h.b = append(h.b, p[:min(len(p), enough-len(h.b))]...)
	return len(p), nil
}

// firstLine is the first line that says something, for messages.
func firstLine(s string) string {
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			return line[:min(len(line), 200)]
		}
	}
	return "it says nothing"
}

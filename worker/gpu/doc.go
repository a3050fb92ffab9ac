// Package gpu finds the machine's GPUs and who uses them, and says how a process is shown
// some of them.
//
// # Where it asks
//
// NVIDIA's driver is asked through nvidia-smi, AMD's through rocm-smi. The library behind
// nvidia-smi, NVML, would have to be loaded as C code, which a static program in Go cannot
// do; nvidia-smi is NVML's own face, comes with every driver, and answers in a hundredth
// of a second where the driver is kept loaded. Whatever it says is taken with care: a
// field may be "[N/A]", a line may be a warning, a driver may hang, and then what is known
// is no reason to stop a worker: it offers no GPU, and says why.
//
// # Vocabulary
//
//   - A reading is what the tools said at one time: devices, and processes on them.
//   - A device's ID is its UUID where it has one, so that it does not change when a card
//     falls off the bus, and so that CUDA_VISIBLE_DEVICES means the same to everybody.
//   - A GPU that is divided (MIG) is several devices, and not one itself.
//   - A stranger is a process on a device that belongs to no trial that was given the
//     device; see strangers.go.
package gpu

"""Runs swath and PyTorch alternately on the same training step and prints the ratio of medians.

    python3 bench/torch/compare.py --model vit --threads 2

PyTorch gets the best setting of threads and allocator that we know (see README.md), never
the easy one; of OpenMP's two wait policies and OpenBLAS's kernels, those that are faster
here. Each round starts every program once, so that a machine which slows down or has noisy
neighbours does so for all. Needs no package itself; --python says which Python has PyTorch,
and may be repeated to compare several versions at once.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
STEPS = {"vit": 6, "dcgan": 3}  # of one start of a program
MIN_ROUNDS = 3

# What a user may have set and must not reach the programs: PyTorch's own setting of
# threads does not reach OpenBLAS, and core type and cache size make it choose worse kernels.
CLEARED = ["OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT",
           "MKL_NUM_THREADS", "GOMAXPROCS", "GOGC", "SWATH_KERNEL",
           "ATEN_CPU_CAPABILITY", "DNNL_MAX_CPU_ISA", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS"]

# Each program held to AVX2.
AVX2 = {
    "SWATH_KERNEL": "avx2",
    "ATEN_CPU_CAPABILITY": "avx2", "OPENBLAS_CORETYPE": "Haswell", "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "DNNL_MAX_CPU_ISA": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2",
}


# What OpenMP's threads do while they wait. Where OpenBLAS multiplies, with threads of its
# own, they must not spin; where MKL does, with OpenMP's, a short spin may be the better.
WAIT_POLICIES = {"passive": {"OMP_WAIT_POLICY": "PASSIVE"}, "OpenMP's default": {}}

# An OpenBLAS that is older than the processor may not know it, and then takes the kernels of
# the oldest one it knows, which are several times slower than those it has for its like.
CORE_TYPES = {"OpenBLAS's own kernels": {}, "SkylakeX": {"OPENBLAS_CORETYPE": "SkylakeX"}, "Haswell": {"OPENBLAS_CORETYPE": "Haswell"}}


def fair(threads):
    """The environment that makes PyTorch fastest, but for what tune chooses."""
    return {
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        # Keep freed memory: its pages would be given back and cleared again in every step.
        "MALLOC_MMAP_THRESHOLD_": "4000000000",
        "MALLOC_TRIM_THRESHOLD_": "40000000000",
        "MALLOC_TOP_PAD_": "500000000",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def run(command, environment):
    """Runs a program and returns the result that it prints."""
    env = {k: v for k, v in os.environ.items() if k not in CLEARED}
    done = subprocess.run(command, env={**env, **environment}, cwd=HERE, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        if "No module named 'torch'" in done.stderr:
            sys.exit(f"{command[0]} has no PyTorch: name a Python that has it with --python (README.md tells how to get one)")
        sys.exit(f"{' '.join(map(str, command))} failed (exit code {done.returncode}):\n{done.stderr.strip()}")
    return json.loads(done.stdout)


def build(folder):
    """Builds swath, as a user would."""
    program = pathlib.Path(folder) / "swath"
    if subprocess.run(["go", "build", "-o", program, "."], cwd=ROOT, check=False).returncode != 0:
        sys.exit("building swath failed; or name a built one with --swath")
    return program


def programs(args, swath):
    """Yields (command, environment) of each program, swath first."""
    common = ["--threads", str(args.threads), "--steps", str(args.steps or STEPS[args.model])]
    for text in args.param:
        common += ["--param", text]
    if args.all_tokens:
        common += ["--all-tokens"]
    isa = AVX2 if args.isa == "avx2" else {}
    yield [swath, "bench", "train", "--model", args.model, "--json", *common], isa
    for python in args.python or [sys.executable]:
        yield [python, HERE / (args.model + ".py"), *common, *args.options], {**fair(args.threads), **isa}


def tune(command, environment):
    """Chooses OpenBLAS's kernels for a PyTorch program, and then the wait policy: those with which it is faster."""
    kernels = {} if "OPENBLAS_CORETYPE" in environment else dict(CORE_TYPES)
    if not has_avx512():
        kernels.pop("SkylakeX", None)
    for settings in kernels, WAIT_POLICIES:
        results = {}
        for choice, setting in settings.items():
            wait = WAIT_POLICIES["passive"] if settings is kernels else {}
            results[choice] = run(command, {**environment, **wait, **setting})
            if settings is kernels and results[choice]["blas"] != "openblas":
                break
        if len(results) < 2:
            continue
        best = min(results, key=lambda choice: results[choice]["step_ms"])
        environment = {**environment, **settings[best]}
        print(f"{name(results[best])}: " + ", ".join(f"{choice} {r['step_ms']:.0f} ms" for choice, r in results.items()) + f": {best}", file=sys.stderr)
    return command, environment


def has_avx512():
    """Whether the processor has AVX-512; False where that is not known."""
    try:
        return "avx512dq" in pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def name(result):
    if "torch" in result:
        return f"PyTorch {result['torch']} ({result['blas']})"
    return f"swath ({result['kernel']})"


def check(results):
    """Ends the comparison if it would not be a fair one."""
    for result in results:
        if result.get("blas") == "other":
            sys.exit(f"{name(result)} multiplies with the reference BLAS, which is slow: install OpenBLAS (README.md tells how)")
        if abs(result["step_gflop"] / results[0]["step_gflop"] - 1) > 1e-6:
            sys.exit(f"not the same work: a step is {results[0]['step_gflop']} GFLOP for {name(results[0])}, {result['step_gflop']} for {name(result)}")


def summary(runs):
    """Joins the runs of one program: medians, but the highest memory."""
    times = [r["step_ms"] for r in runs]
    result = dict(runs[0])
    result["step_ms"] = statistics.median(times)
    result["lowest_ms"], result["highest_ms"] = min(times), max(times)
    result["gflops"] = result["step_gflop"] / result["step_ms"] * 1e3
    result["rss_mb"] = max(r["rss_mb"] for r in runs)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=sorted(STEPS), required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=170, help=f"how long to go on; at least {MIN_ROUNDS} rounds (default %(default)s)")
    parser.add_argument("--steps", type=int, help=f"steps of one start of a program (default {STEPS})")
    parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the trainer, for all programs")
    parser.add_argument("--python", action="append", help="a Python that has PyTorch (default this one); may be repeated")
    parser.add_argument("--swath", help="a built swath (default: go build)")
    parser.add_argument("--isa", choices=["best", "avx2"], default="best", help="hold every program to AVX2")
    parser.add_argument("--all-tokens", action="store_true",
                        help="vit: the last layer for every token, as the equations are written, in all programs")
    parser.add_argument("--json", action="store_true", help="print one line of JSON for each program")
    parser.add_argument("options", nargs="*", help="after --: options of the PyTorch program")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        swath = pathlib.Path(args.swath).resolve() if args.swath else build(folder)
        start = time.monotonic()
        ours, *theirs = programs(args, swath)
        run(*ours)  # first of all, because it tells best what is wrong with parameters
        contest = [ours, *(tune(*program) for program in theirs)]
        rounds, began = [], time.monotonic()
        while len(rounds) < MIN_ROUNDS or time.monotonic() - start + (time.monotonic() - began) / len(rounds) < args.seconds:
            rounds.append([run(*program) for program in contest])
            check(rounds[-1])
            print(f"round {len(rounds)}: " + ", ".join(f"{name(r)} {r['step_ms']:.0f} ms" for r in rounds[-1]), file=sys.stderr)

    results = [summary(runs) for runs in zip(*rounds)]
    swath_result = results[0]
    # Peaks swing with the neighbours as the steps do; the highest is the machine's.
    peak = max((r[0]["gflops"] / r[0]["peak_fraction"] for r in rounds if r[0]["peak_fraction"]), default=0)
    for result in results:
        result["peak_fraction"] = round(result["gflops"] / peak, 4) if peak else 0
        result["ratio"] = round(result["step_ms"] / swath_result["step_ms"], 3)
    if args.json:
        for result in results:
            print(json.dumps({**result, "rounds": len(rounds)}))
        return
    print(f"{args.model}, {args.threads} threads, {swath_result['step_gflop']:.1f} GFLOP a step, median of {len(rounds)} rounds of {swath_result['steps']} steps")
    print(f"{'':36}{'step ms':>9}{'lowest':>9}{'highest':>9}{'GFLOP/s':>9}{'of peak':>9}{'MB':>7}  swath faster")
    for r in results:
        ratio = f"{r['ratio']:.2f} times" if r is not swath_result else ""
        print(f"{name(r):36}{r['step_ms']:9.1f}{r['lowest_ms']:9.1f}{r['highest_ms']:9.1f}"
              f"{r['gflops']:9.1f}{r['peak_fraction']:9.0%}{r['rss_mb']:7.0f}  {ratio}")


if __name__ == "__main__":
    main()

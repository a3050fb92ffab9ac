"""What the PyTorch programs of this folder share: command line, clock, result.

The result has the form of `swath bench train --json`, with PyTorch's version and its
matrix library in place of the kernel set, so that compare.py can read both.
"""

import argparse
import json
import math
import statistics
import sys
import time

import torch

WARMUP = 2  # steps before the measured ones, as in swath's trainer/bench


def parse(doc, defaults, options=None):
    """Reads the command line.

    defaults are the model's parameters with the trainer's defaults; --param name=value
    changes one, as it does for swath. options(parser) may add more flags.
    """
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE")
    if options:
        options(parser)
    args = parser.parse_args()
    params = dict(defaults)
    for text in args.param:
        name, equals, value = text.partition("=")
        if not equals or name not in params:
            sys.exit(f"parameter {text!r}: want name=value, with a name of {', '.join(params)}")
        try:
            params[name] = type(params[name])(value)
        except ValueError:
            sys.exit(f"parameter {text!r}: {value!r} is no {type(params[name]).__name__}")
    # PyTorch's own threads; those of OpenBLAS are set by the environment (compare.py).
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    return args, params


def measure(model, args, step, flops):
    """Times step(), which trains one step and returns its loss, and prints the result."""
    times = []
    for i in range(WARMUP + args.steps):
        start = time.perf_counter()
        loss = step()
        took = time.perf_counter() - start
        if not math.isfinite(loss):
            sys.exit(f"the loss is {loss} at step {i + 1}")
        if i >= WARMUP:
            times.append(took)
    median = statistics.median(times)
    print(json.dumps({
        "model": model,
        "threads": args.threads,
        "step_ms": round(median * 1e3, 3),
        "gflops": round(flops / median / 1e9, 2),
        "peak_fraction": 0,  # compare.py knows the peak, from swath
        "rss_mb": round(peak_memory() / 1e6, 1),
        "steps": args.steps,
        "step_gflop": round(flops / 1e9, 6),
        "torch": torch.__version__,
        "blas": blas(),
    }))


def peak_memory():
    """The process's highest resident memory so far, in bytes (Linux only)."""
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    raise OSError("/proc/self/status has no line VmHWM")


def blas():
    """Which library multiplies matrices: mkl, openblas, or other (slow)."""
    if torch.backends.mkl.is_available():
        return "mkl"
    with open("/proc/self/maps", encoding="utf-8") as maps:
        return "openblas" if "openblas" in maps.read() else "other"


def adam(params, **options):
    """torch.optim.Adam in the fastest form that this version of PyTorch has."""
    params = list(params)
    try:
        return torch.optim.Adam(params, fused=True, **options)
    except (TypeError, RuntimeError):  # no such argument, or not for CPUs
        return torch.optim.Adam(params, **options)

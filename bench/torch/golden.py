"""Golden files: what PyTorch computed, for swath's parity tests to compare with.

A file is a gzip stream of one line of JSON, {"about", "params", "steps", "tensors": [{"name",
"shape"}, ...]}, and then the tensors' elements, little-endian float32, in that order. The
Go side that reads it is trainer/paritytest.
"""

import gzip
import json
import math
import random
import struct

import torch


class Writer:
    """Collects the tensors of a golden file.

    exact tensors (inputs, first weights) are kept as they are and must be representable;
    the others, results in double precision, are rounded to 16 significant bits, an error
    of 8e-6, because that halves the file and the tests ask for 1e-4.
    """

    def __init__(self, about, params, steps):
        self.header = {"about": about, "params": params, "steps": steps, "tensors": []}
        self.data = []

    def exact(self, name, tensor):
        values = tensor.detach().double().flatten().tolist()
        for x in values:
            if struct.unpack("<f", struct.pack("<f", x))[0] != x:
                raise ValueError(f"{name}: {x!r} is not a float32")
        self._add(name, tensor, values)

    def result(self, name, tensor):
        self._add(name, tensor, [shorten(x) for x in tensor.detach().double().flatten().tolist()])

    def _add(self, name, tensor, values):
        self.header["tensors"].append({"name": name, "shape": list(tensor.shape)})
        self.data.append(struct.pack(f"<{len(values)}f", *values))

    def write(self, path):
        with open(path, "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
            packed.write(json.dumps(self.header, separators=(",", ":")).encode() + b"\n")
            for data in self.data:
                packed.write(data)


def shorten(x):
    """Rounds to 16 significant bits."""
    if x == 0 or not math.isfinite(x):
        return x
    mantissa, exponent = math.frexp(x)
    return math.ldexp(round(math.ldexp(mantissa, 16)), exponent - 16)


def normal(generator, shape, mean=0.0, std=1.0):
    """Normally distributed float32 numbers, as a tensor in double precision."""
    values = [generator.gauss(mean, std) for _ in range(math.prod(shape))]
    return torch.tensor(values, dtype=torch.float32).double().view(shape)


def pixels(generator, shape):
    """Pixels in [-1, 1], in steps of 1/64: numbers that pack well."""
    values = [generator.randint(-64, 64) / 64 for _ in range(math.prod(shape))]
    return torch.tensor(values, dtype=torch.float64).view(shape)


def generator(seed):
    return random.Random(seed)

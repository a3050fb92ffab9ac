"""swath's random numbers (trainer/nn/rand.go), for the parity tests of what draws some.

They are counter-based: a number is a function of a seed and coordinates (step, layer,
pixel, ...), so that PyTorch can be given the same latents and noise.
"""

import math
import struct

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def mix(x):
    """SplitMix64's output function."""
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & MASK
    return x ^ x >> 31


def key(seed, *coordinates):
    """Hashes a seed and coordinates into one word."""
    k = mix(seed + GOLDEN & MASK)
    for c in coordinates:
        k = mix(k ^ mix(c + GOLDEN & MASK))
    return k


def hash_string(text):
    """64-bit FNV-1a."""
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = (h ^ byte) * 0x100000001B3 & MASK
    return h


def normals(state, n):
    """The first n normally distributed numbers of a key, as float32 (Box and Muller)."""
    numbers = []
    for _ in range(n):
        uniform = []
        for _ in range(2):
            state = state + GOLDEN & MASK
            uniform.append((mix(state) >> 11) / (1 << 53))
        x = math.sqrt(-2 * math.log(1 - uniform[0])) * math.cos(2 * math.pi * uniform[1])
        numbers.append(struct.unpack("<f", struct.pack("<f", x))[0])
    return numbers

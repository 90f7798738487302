"""Right answers to the exercise of notebook 00 in other styles than ours: they must pass."""

import math

import numpy as np


def added_up(data, height, width):
    raw = 0
    for _ in range(height):
        for _ in range(width):
            raw += 3
    return raw / len(data)


def by_numpy(data, height, width):
    return np.prod([3, height, width]) / np.frombuffer(data, np.uint8).size


def in_bits(data, height, width):
    return (8 * math.prod((3, height, width))) / (8 * memoryview(data).nbytes)


RIGHT = {"00.1": {"added up": added_up, "NumPy": by_numpy, "bits on both sides": in_bits}}

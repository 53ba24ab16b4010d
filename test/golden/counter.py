"""Numbers that both sides of a golden test make for themselves, so that files need not hold them: counter.ts is the same in TypeScript.

Word i of a stream is mix(i ^ name), where `name` is the 32-bit FNV-1a hash of the stream's name in UTF-8 and mix is

    x ^= x >> 16;  x *= 0x85ebca6b;  x ^= x >> 13;  x *= 0xc2b2ae35;  x ^= x >> 16        (MurmurHash3's finaliser, modulo 2^32)

applied twice, with 0x9e3779b9 added in between. As a number: (word >> 8) / 2^23 - 1, in [-1, 1), which float32 holds exactly.
"""

import re

import numpy as np


def fnv1a(text):
    return fnv1a_bytes(text.encode())


def fnv1a_bytes(data):
    h = 0x811C9DC5
    for byte in data:
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    return h


def mix(x):
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x85EBCA6B)
    x ^= x >> np.uint32(13)
    x *= np.uint32(0xC2B2AE35)
    x ^= x >> np.uint32(16)
    return x


def words(name, count):
    i = np.arange(count, dtype=np.uint32)
    return mix(mix(i ^ np.uint32(fnv1a(name))) + np.uint32(0x9E3779B9))


def numbers(name, count):
    """`count` numbers in [-1, 1), as float64."""
    return (words(name, count) >> np.uint32(8)).astype(np.float64) / 2**23 - 1


def filled(name, shape, scale=1.0, offset=0.0):
    """offset + scale * number, computed in float64 and rounded to float32."""
    return (offset + scale * numbers(name, int(np.prod(shape)))).astype(np.float32).reshape(shape)


def initial(path, shape, state=None):
    """The value of a model's parameter or buffer in a golden test: of a scale that keeps signals alive through many layers."""
    if path.endswith("num_batches_tracked"):
        return np.zeros(shape, dtype=np.int64)
    if len(shape) >= 2:
        return filled(path, shape, scale=(6 / np.prod(shape[1:])) ** 0.5)
    if path.endswith("running_var"):
        return filled(path, shape, scale=0.5, offset=1)
    if path.endswith(".weight"):
        return filled(path, shape, scale=0.2, offset=1)
    return filled(path, shape, scale=0.1)  # biases, running means


def initial_for_training(path, shape, state, below=r"bn1\.bias$"):
    """Like `initial`, but batch norms (4 standard deviations from 0, a quarter of the channels of those that match `below` under it) keep to one
    side of ReLU's kink: of millions of activations near 0 float32 decides some differently from float64, and each changes gradients by percents.
    Neighbouring weights have opposite signs, so that what all inputs have in common cancels, and with it no digits of the variances.
    `state` has all paths: a bias beside a running mean is a batch norm's.
    """
    if len(shape) >= 2:
        weight = initial(path, shape).reshape(-1)
        partner = np.minimum(np.arange(weight.size) ^ 1, weight.size - 1)
        return ((weight - weight[partner]) * np.float32(0.5)).reshape(shape)
    if path.endswith(".weight"):
        return filled(path, shape, scale=0.1, offset=0.5)
    if path.endswith(".bias") and path.removesuffix("bias") + "running_mean" in state:
        bias = filled(path, shape, scale=0.2, offset=2)
        return np.where((np.arange(shape[0]) % 4 == 3) & (re.search(below, path) is not None), -bias, bias)
    return initial(path, shape)


def digest(values):
    """A tensor in two numbers: its norm, and its sum weighted by an outer product of `numbers`, which sees every swap and transposition."""
    rows = values.reshape(values.shape[0], -1).astype(np.float64)
    left, right = numbers("rows", rows.shape[0]), numbers("columns", rows.shape[1])
    return [np.sqrt((rows**2).sum()), left @ rows @ right]

"""Castagnoli's cyclic redundancy check, which TensorFlow's files carry, in vectorised NumPy.

A check without initial value is linear in the bits of its message. So a message is cut into lanes of one
length, which are checked side by side; neighbours are then joined two by two, the first advanced by as many
zeros as the second has bytes.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]

_POLYNOMIAL = 0x82F63B78
_ONES = 0xFFFFFFFF
_LANE = 256
"""Least number of words in a lane."""
_MOST_LANES = 2**14


def crc32c(data: bytes | memoryview) -> int:
    """Check value of a message, an unsigned number of 32 bits."""
    # Leading zeros change nothing before the first bit.
    words = -(-len(data) // 4)
    lanes = 1
    while lanes < _MOST_LANES and words // lanes >= 2 * _LANE:
        lanes *= 2
    length = -(-words // lanes)
    padded = np.zeros(4 * lanes * length, np.uint8)
    padded[len(padded) - len(data) :] = np.frombuffer(data, np.uint8)
    checks = _check_lanes(padded.view("<u4").reshape(lanes, length))
    operator = _zeros(4 * length)
    while len(checks) > 1:
        checks = _apply(operator, checks[0::2]) ^ checks[1::2]
        operator = _apply(operator, operator)
    start = _apply(_zeros(len(data)), np.array([_ONES], np.uint32))
    return int(checks[0] ^ start[0]) ^ _ONES


def masked_crc32c(data: bytes | memoryview) -> int:
    """Check value as TensorFlow stores it: rotated, with a constant added."""
    value = crc32c(data)
    return ((value >> 15 | value << 17) + 0xA282EAD8) & _ONES


def _check_lanes(lanes: Words) -> Words:
    """Checks, without initial value, of the rows of `(lanes, words)`."""
    low, high = _tables()
    checks = np.zeros(len(lanes), np.uint32)
    for column in np.ascontiguousarray(lanes.T):
        checks ^= column
        checks = low[checks & 0xFFFF] ^ high[checks >> 16]
    return checks


@cache
def _tables() -> tuple[Words, Words]:
    """Effect of four zero bytes on the lower and on the upper half of a check."""
    halves = np.arange(2**16, dtype=np.uint32)
    operator = _zeros(4)
    return _apply(operator, halves), _apply(operator, halves << np.uint32(16))


def _zeros(count: int) -> Words:
    """Effect of `count` zero bytes on each bit of a check, `(32,)`."""
    bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
    result, power = bits, bits
    for _ in range(8):
        power = (power >> np.uint32(1)) ^ np.where(power & 1, np.uint32(_POLYNOMIAL), np.uint32(0))
    while count:
        if count & 1:
            result = _apply(power, result)
        power, count = _apply(power, power), count >> 1
    return result


def _apply(operator: Words, values: Words) -> Words:
    """Apply an operator, given by its effect on each bit, to values."""
    result = np.zeros_like(values)
    for bit, effect in enumerate(operator):
        result ^= np.where(values >> np.uint32(bit) & np.uint32(1), effect, np.uint32(0))
    return result

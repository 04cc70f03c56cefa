import random

import pytest

from soloist.zoo.crc32c import crc32c, masked_crc32c


@pytest.mark.parametrize(
    ("data", "value"),
    # RFC 3720, and the usual check.
    [(b"", 0), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)],
)
def test_known_values(data, value):
    assert crc32c(data) == value


@pytest.mark.parametrize("size", [1, 2, 3, 5, 2047, 4096, 8193, 70_001])
def test_lanes_give_what_bytes_one_by_one_do(size):
    data = random.randbytes(size)
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    assert crc32c(data) == value ^ 0xFFFFFFFF


def test_the_mask_of_tensorflow():
    assert masked_crc32c(b"123456789") == ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) & 0xFFFFFFFF

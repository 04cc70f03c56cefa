"""Simulated rooms: image sources in a box of random size, by pyroomacoustics.

R. Scheibler, E. Bezzam and I. Dokmanic, "Pyroomacoustics: A Python package for audio room simulation and
array processing algorithms", ICASSP 2018; J. B. Allen and D. A. Berkley, "Image method for efficiently
simulating small-room acoustics", Journal of the Acoustical Society of America 65(4), 1979.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from soloist.audio import Audio
from soloist.errors import UsageError
from soloist.mixing.augment.augmentation import Augmentation
from soloist.mixing.augment.filters import convolve, from_direct_sound
from soloist.mixing.example import generator
from soloist.resources import import_extra

Range = tuple[float, float]

_MARGIN = 0.5
"""Least distance of microphones and sources from the walls, m."""

_SPACING = 0.2
"""Distance between the microphones of neighbouring channels, m."""


class SimulatedRoom(Augmentation):
    """Convolution of all sources of an example with responses of one simulated room.

    A microphone for each channel stands somewhere in a box, and each source at a place of its own. As in
    `RoomResponse`, references include the reverberation, filters have no delay, and levels stay. A room is
    simulated when it is first drawn, which takes a tenth of a second to a second, and kept.

    Args:
        rooms: Number of rooms to draw from.
        floor: Range of length and width, m.
        height: Range of the height, m.
        decay: Range of the reverberation time, s: until the energy has fallen by 60 dB.
        sample_rate: Sample rate of the sources, Hz.
        p: Probability of a room for each example.
        seed: Seed of the rooms.

    Raises:
        UsageError: There are no rooms, a range is reversed or out of bounds, `p` is not a probability, or the
            package is not installed.
    """

    def __init__(
        self,
        rooms: int = 200,
        floor: Range = (3.0, 8.0),
        height: Range = (2.4, 3.5),
        decay: Range = (0.15, 0.5),
        *,
        sample_rate: int,
        p: float = 0.5,
        seed: int = 0,
    ) -> None:
        super().__init__(p=p, seed=seed)
        if rooms < 1:
            raise UsageError(f"SimulatedRoom: rooms must be 1 or more, not {rooms}")
        for name, values, least, most in (
            ("floor", floor, 2.0, 50.0),
            ("height", height, 2.0, 20.0),
            ("decay", decay, 0.05, 2.0),
        ):
            if not least <= values[0] <= values[1] <= most:
                raise UsageError(
                    f"SimulatedRoom: {name} {list(values)} is no range from {least:g} to {most:g}"
                )
        self.rooms = rooms
        self.floor = floor
        self.height = height
        self.decay = decay
        self.sample_rate = sample_rate
        _ = self._library
        self._kept: dict[tuple[int, int, int], list[Audio]] = {}

    @property
    def _library(self) -> Any:
        """The library; no attribute, as modules cannot be pickled."""
        return import_extra("pyroomacoustics", "rooms")

    def apply(self, references: Audio, rng: np.random.Generator) -> Audio:
        """Convolve the sources; see `Augmentation.apply`."""
        room = int(rng.integers(self.rooms))
        if not self.chosen(rng, 1)[0]:
            return references
        key = (room, references.shape[0], references.shape[1])
        if key not in self._kept:
            self._kept[key] = self._simulate(*key)
        return np.stack([convolve(*pair) for pair in zip(references, self._kept[key], strict=True)])

    def _simulate(self, number: int, sources: int, channels: int) -> list[Audio]:
        """Responses `(channels, taps)` of each source in a room."""
        rng, library = generator(self, self.seed, number, "room"), self._library
        size = np.array([*rng.uniform(*self.floor, 2), rng.uniform(*self.height)])
        absorption, order = self._walls(size, rng.uniform(*self.decay))
        # One thread: sums of several depend on their number.
        library.constants.set("num_threads", 1)
        room = library.ShoeBox(
            size, fs=self.sample_rate, materials=library.Material(absorption), max_order=order
        )
        offsets = _SPACING * (np.arange(channels) - (channels - 1) / 2)
        microphones = np.repeat(rng.uniform(_MARGIN, size - _MARGIN)[:, None], channels, axis=1)
        microphones[0] = np.clip(microphones[0] + offsets, 0.1, size[0] - 0.1)
        room.add_microphone_array(microphones)
        for _ in range(sources):
            room.add_source(rng.uniform(_MARGIN, size - _MARGIN))
        room.compute_rir()
        return [
            from_direct_sound(_stacked([room.rir[channel][source] for channel in range(channels)]))
            for source in range(sources)
        ]

    def _walls(self, size: NDArray[np.float64], decay: float) -> tuple[float, int]:
        """Absorption of the walls, and reflections until the sound has decayed; the least possible decay."""
        least = 24 * np.log(10) * np.prod(size) / (343 * 2 * (np.prod(size) / size).sum())
        absorption, order = self._library.inverse_sabine(max(decay, 1.01 * float(least)), size)
        return float(absorption), int(order)


def _stacked(responses: list[NDArray[np.float64]]) -> Audio:
    """Responses of the channels, `(channels, taps)`, the shorter ones padded with zeros."""
    stacked = np.zeros((len(responses), max(map(len, responses))), np.float32)
    for row, response in zip(stacked, responses, strict=True):
        row[: len(response)] = response
    return stacked

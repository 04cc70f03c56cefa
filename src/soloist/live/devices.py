"""Sound cards, by PortAudio."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from soloist.audio import Audio, SampleQueue
from soloist.errors import AudioError, UsageError, one_line
from soloist.live.pipes import BLOCK
from soloist.resources import import_extra

_AHEAD = 2
"""Blocks of silence that an output begins with: as much time as a block may be late."""

_MOST = 50
"""Blocks of an input that wait at most: a second."""


@dataclass(frozen=True)
class SoundDevice:
    """A device of the system.

    Attributes:
        index: Its number.
        name: Its name.
        inputs: Input channels.
        outputs: Output channels.
        sample_rate: Its usual rate, Hz.
    """

    index: int
    name: str
    inputs: int
    outputs: int
    sample_rate: int


def list_devices() -> list[SoundDevice]:
    """List the devices of the system.

    Raises:
        UsageError: sounddevice or PortAudio is not installed.
    """
    found = _portaudio().query_devices()
    return [_describe(index, device) for index, device in enumerate(found)]


def find_sound_device(name: str | None, kind: str) -> SoundDevice:
    """Find a device by number or part of its name; None for the usual one.

    Args:
        name: Number or name.
        kind: "input" or "output".

    Raises:
        UsageError: There is no such device, or it is of the other kind.
    """
    library = _portaudio()
    given = int(name) if name is not None and name.isdecimal() else name
    try:
        device = library.query_devices(given, kind)
    except (ValueError, library.PortAudioError) as error:
        named = "" if name is None else f" {name}"
        raise UsageError(
            f"there is no {kind} device{named}: soloist live --devices lists them, and - is a pipe"
        ) from error
    return _describe(device["index"], device)


def _describe(index: int, device: Any) -> SoundDevice:
    return SoundDevice(
        index,
        device["name"],
        device["max_input_channels"],
        device["max_output_channels"],
        round(device["default_samplerate"]),
    )


def _portaudio() -> Any:
    try:
        return import_extra("sounddevice", "live")
    except OSError as error:
        raise UsageError(
            "sound cards need PortAudio (such as apt-get install libportaudio2); pipes (-) work without it"
        ) from error


class DeviceInput:
    """Blocks from a device; see `LiveInput`.

    Args:
        device: The device.
        sample_rate: Hz.
        channels: Number of channels.

    Raises:
        UsageError: The device has no such rate or channels.
    """

    waited = True

    def __init__(self, device: SoundDevice, sample_rate: int, channels: int) -> None:
        self.sample_rate, self.channels, self.dropped = sample_rate, channels, 0
        self._blocks: queue.Queue[Audio] = queue.Queue(_MOST)
        self._stream = _open("InputStream", device, sample_rate, channels, self._receive)

    def read(self) -> Audio | None:
        """Wait for the next block.

        Raises:
            AudioError: The device has gone.
        """
        while True:
            try:
                return self._blocks.get(timeout=1.0)
            except queue.Empty:
                if not self._stream.active:
                    raise AudioError("the input device has gone") from None

    def close(self) -> None:
        """Close the device."""
        self._stream.close()

    def _receive(self, block: Any, frames: int, time: Any, status: Any) -> None:
        self.dropped += bool(status)
        try:
            self._blocks.put_nowait(np.ascontiguousarray(block.T))
        except queue.Full:
            self.dropped += 1


class DeviceOutput:
    """Blocks to a device; see `LiveOutput`.

    Args:
        device: The device.
        sample_rate: Hz.
        channels: Number of channels.

    Raises:
        UsageError: The device has no such rate or channels.
    """

    paces = True

    def __init__(self, device: SoundDevice, sample_rate: int, channels: int) -> None:
        self.dropped = 0
        self._begun = self._closing = False
        self._changed = threading.Condition()
        self._waiting = SampleQueue()
        self._most = round((_AHEAD + _MOST) * BLOCK * sample_rate)
        silence = np.zeros((channels, round(_AHEAD * BLOCK * sample_rate)), np.float32)
        self._waiting.put(silence)
        self._stream = _open("OutputStream", device, sample_rate, channels, self._play)

    def write(self, block: Audio) -> None:
        """Append a block; wait while the device is far behind."""
        with self._changed:
            while self._waiting.available > self._most and self._stream.active:
                self._changed.wait(1.0)
            self._waiting.put(block)
            self._begun = True

    def close(self) -> None:
        """Play what waits, and close the device."""
        self._closing = True
        with self._changed:
            while self._waiting.available and self._stream.active:
                if not self._changed.wait(1.0):
                    break
        self._stream.close()

    def _play(self, block: Any, frames: int, time: Any, status: Any) -> None:
        with self._changed:
            ready = min(frames, self._waiting.available) if self._begun else 0
            block[:] = 0
            if ready:
                block[:ready] = self._waiting.take(ready).T
            self.dropped += self._begun and not self._closing and ready < frames
            self._changed.notify()


def _open(kind: str, device: SoundDevice, sample_rate: int, channels: int, callback: Any) -> Any:
    """Open and start a stream of PortAudio, in blocks of float32."""
    library = _portaudio()
    try:
        stream = getattr(library, kind)(
            device=device.index,
            samplerate=sample_rate,
            channels=channels,
            dtype="float32",
            blocksize=round(BLOCK / 2 * sample_rate),
            latency="low",
            callback=callback,
        )
        stream.start()
    except library.PortAudioError as error:
        raise UsageError(
            f"{device.name} cannot be opened with {channels} channels at {sample_rate} Hz "
            f"({one_line(error)}): its usual rate is {device.sample_rate} Hz (--rate)"
        ) from error
    return stream

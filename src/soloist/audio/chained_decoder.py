"""Decoder of files that were joined end to end, and of files with gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from soloist.audio.blocks import Audio, to_channels
from soloist.audio.decoder import AudioInfo, Decoder, Remarks, drop_first, silence
from soloist.audio.layout import Part
from soloist.audio.resample import resample_blocks

OpenPart = Callable[[Part], Decoder]
"""Opens the decoder of a part that has bytes."""


class ChainedDecoder:
    """Decoder of the parts of a file, one after another.

    All parts have the sample rate and channel count of the first one: later ones are converted.

    Args:
        remarks: The file, and what the decoder has to say about it.
        parts: The parts; the first one is no gap.
        open_part: Opens a decoder of a part.
    """

    def __init__(self, remarks: Remarks, parts: Sequence[Part], open_part: OpenPart) -> None:
        self.remarks = remarks
        self._open = open_part
        self._first = self._probe(parts[0])
        self._parts: list[Part] = []
        self._infos: list[AudioInfo | None] = []
        for part in parts:
            self._add(part, None if part.missing else self._probe(part))
        first = self._first
        lengths = [self._length(number) for number in range(len(self._parts))]
        known = [length for length in lengths if length is not None]
        samples = sum(known) if len(known) == len(lengths) else None
        duration = None if samples is None else samples / first.sample_rate
        self.info = replace(first, samples=samples, duration=duration)

    def decode(self, first: int) -> Iterator[Audio]:
        """Decode from sample `first` on; see `Decoder.decode`."""
        position = 0
        for number, part in enumerate(self._parts):
            length = self._length(number)
            skipped = max(0, first - position)
            if length is not None and skipped >= length:
                position += length
                continue
            if part.missing:
                missing = self._length(number) or 0
                self.remarks.lose(position / self.info.sample_rate, missing / self.info.sample_rate)
            # Only of a part of known length is a beginning skipped: it may end within what is skipped.
            position += 0 if length is None else skipped
            for block in self._decode_part(number, 0 if length is None else skipped):
                begin, position = position, position + block.shape[1]
                if position > first:
                    yield block[:, max(0, first - begin) :]

    def close(self) -> None:
        """Close the file; each part is closed after its decoding."""

    def _add(self, part: Part, info: AudioInfo | None) -> None:
        """Add a part, and a gap before it if the part states its place."""
        before = [self._length(number) for number in range(len(self._parts))]
        length = info.samples if info else None
        if part.ends_at is not None and length is not None:
            gap = part.ends_at - length - sum(length or 0 for length in before)
            if gap > 0:
                self._add(Part(part.start, part.start, missing=gap), None)
        self._parts.append(part)
        self._infos.append(info)

    def _probe(self, part: Part) -> AudioInfo:
        decoder = self._open(part)
        decoder.close()
        return decoder.info

    def _length(self, number: int) -> int | None:
        """Samples of a part at the rate of the first one; None if unknown."""
        info = self._infos[number]
        if info is None:
            part = self._parts[number]
            return round(part.missing * self._first.sample_rate / (part.rate or self._first.sample_rate))
        if info.samples is None:
            return None
        return round(info.samples * self._first.sample_rate / info.sample_rate)

    def _decode_part(self, number: int, skipped: int) -> Iterator[Audio]:
        """Decode a part from a sample on, at the rate and with the channels of the first part."""
        info, rate, channels = self._infos[number], self.info.sample_rate, self.info.channels
        if info is None:
            yield from silence(channels, (self._length(number) or 0) - skipped)
            return
        decoder = self._open(self._parts[number])
        try:
            if info.sample_rate == rate:
                blocks = decoder.decode(skipped)
            else:
                resampled = resample_blocks(decoder.decode(0), info.sample_rate, rate)
                blocks = drop_first(_fit(resampled, self._length(number)), skipped)
            for block in blocks:
                yield to_channels(block, channels)
        finally:
            decoder.close()


def _fit(blocks: Iterator[Audio], length: int | None) -> Iterator[Audio]:
    """Cut blocks after `length` samples: a resampler returns up to a few more."""
    for block in blocks:
        block = block if length is None else block[:, :length]
        length = None if length is None else length - block.shape[1]
        if block.shape[1]:
            yield block

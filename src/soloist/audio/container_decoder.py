"""Decoding with FFmpeg's libraries: AAC, Opus, video, multi-stream files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from einops import rearrange

from soloist.audio.blocks import Audio
from soloist.audio.byte_ranges import SplicedFile
from soloist.audio.decoder import AudioInfo, Remarks, damage, drop_first, silence, truncation
from soloist.audio.flac_layout import frame_span
from soloist.audio.stem_atom import read_stem_atom
from soloist.audio.timeline import Timeline
from soloist.audio.track_choice import find_stream, languages
from soloist.errors import AudioError

# Local files only: a playlist must not make FFmpeg open network addresses.
_OPTIONS = {"protocol_whitelist": "file"}
_PCM_SCALE = {"u8": 2.0**7, "s16": 2.0**15, "s32": 2.0**31, "s64": 2.0**63}
_STEMS_OF_FIVE = ("mixture", "drums", "bass", "other", "vocals")
_TOLERANCE = 0.5
# Formats whose headers state the length, and formats of bare frames, without time stamps.
_WITH_DURATION = ("matroska", "asf", "avi")
_WITHOUT_TIMES = ("aac", "ac3", "eac3", "dts", "mp3")
_MOST_FAILURES = 1000
# Silence in gaps: at most a minute, and what a coding of 800 bit/s would have room for.
_SILENCE, _SILENCE_PER_BYTE = 60.0, 0.01
_SMALL_GAP = 0.005  # Seconds by which time stamps are rounded.
# PyAV reads beyond the end of its list of planes in frames with more planes.
_MOST_PLANES = 7


class ContainerDecoder:
    """Decoder of one audio stream of a file that FFmpeg can open.

    FFmpeg removes the encoder delay that the container states (edit lists, Opus pre-skip, LAME headers), and
    gapless information (`iTunSMPB`) cuts an MP4 file to its exact length. The sound of a film stays with the
    picture: silence stands before sound that begins later, and in gaps; see `Timeline`. Excerpts are decoded
    from the beginning of the file: with most of these codecs, decoding from the middle gives other samples.

    Args:
        remarks: The file, and what the decoder has to say about it.
        stream: Number of the audio stream, from 0, or its language or name.
        source: Bytes in place of the file; the decoder closes them.
        samples: Length in samples. If None, the length in the header.
        rate: Rate in Hz at which `samples` are counted; if 0, that of the stream. HE-AAC has twice the rate.
        delay: Samples before the recording, which are dropped.
        damaged: Every gap in the time stamps is missing sound.

    Raises:
        AudioError: The file is not audio, or has no audio stream.
        UsageError: There is no such stream.
    """

    def __init__(
        self,
        remarks: Remarks,
        stream: int | str = 0,
        *,
        source: SplicedFile | None = None,
        samples: int | None = None,
        rate: int = 0,
        delay: int = 0,
        damaged: bool = False,
    ) -> None:
        path = remarks.path
        self.remarks = remarks
        self._source, self._samples, self._delay, self._damaged = source, samples, delay, damaged
        self._container = _open(path, source)
        try:
            audio = self._container.streams.audio
            if not audio:
                raise AudioError(f"{path} has no sound in it, or is damaged")
            names = _stream_names(self._container, path)
            self._number = find_stream(path, stream, names, languages(audio))
            self._stream = audio[self._number]
            if self._stream.codec_context is None:
                raise AudioError(f"{path}: the coding of its sound is not supported; convert it first")
            if self._stream.codec_context.name == "flac":
                # Frames of a bare file state their places.
                self._damaged = self._container.format.name == "flac" or damaged
                # Without this, FFmpeg plays damaged frames as noise.
                self._stream.codec_context.options = {"err_detect": "crccheck+explode"}
            if samples is not None and rate:
                self._samples = round(samples * self._stream.rate / rate)
            self._packer = av.AudioResampler(format="flt")
            self.info = self._describe(path)
        except BaseException:
            self._container.close()
            raise

    def decode(self, first: int) -> Iterator[Audio]:
        """Decode from sample `first` on; see `Decoder.decode`."""
        return drop_first(self._decode_all(), first)

    def close(self) -> None:
        """Close the file."""
        self._container.close()
        if self._source is not None:
            self._source.close()

    def _decode_all(self) -> Iterator[Audio]:
        position = 0
        exact = self.info.samples
        for block in drop_first(self._decode_frames(), self._delay):
            block = block if exact is None else block[:, : exact - position]
            position += block.shape[1]
            if block.shape[1]:
                yield block
        self._check_end(position)

    def _decode_frames(self) -> Iterator[Audio]:
        """Decode all frames; silence replaces those that are damaged, and fills the gaps of a film."""
        position, rate, channels = 0, self.info.sample_rate, self.info.channels
        timeline, error = Timeline(self._container, self._stream), None
        damaged, filled = self._damaged, 0
        most = rate * (_SILENCE + _SILENCE_PER_BYTE * os.path.getsize(self.info.path))
        for frame in self._frames():
            if isinstance(frame, AudioError):
                error, damaged = error or frame, True
                continue
            least = 0.0 if error else _SMALL_GAP if damaged and position else None
            missing = timeline.silence_before(frame, position, least=least)
            filled += missing
            if filled > most:
                claim = f"its time stamps claim {filled / rate:.0f} s of silence"
                self.remarks.end_early(damage(self.info.path, self._seconds(position), claim))
                return
            if error or (missing and least is not None):
                self.remarks.lose(self._seconds(position), missing / rate, error)
            yield from silence(channels, missing)
            position += missing
            error = None
            block = self._convert(frame, position)
            position += block.shape[1]
            yield block
        if error is not None and self._samples is not None:
            if missing := max(0, self._samples + self._delay - position):
                self.remarks.lose(self._seconds(position), missing / rate, error)
            yield from silence(channels, missing)
        elif error is not None:
            self.remarks.end_early(error)

    def _seconds(self, position: int) -> float:
        return max(0, position - self._delay) / self.info.sample_rate

    def _frames(self) -> Iterator[av.AudioFrame | AudioError]:
        """Decode packet by packet; an error in place of a packet that cannot be decoded."""
        samples, more = 0, Fraction(0)
        size = 0.0
        is_bare = self._container.format.name in _WITHOUT_TIMES
        for packet in self._packets():
            try:
                if isinstance(packet, av.FFmpegError):
                    raise packet
                for frame in packet.decode():
                    samples += frame.samples
                    size += (packet.size - size) / 8 if size and packet.size else packet.size - size
                    self._correct_time(packet, frame, more)
                    yield frame
            except av.FFmpegError as error:
                if is_bare and not isinstance(packet, av.FFmpegError) and size and packet.duration:
                    # Without time stamps in the file, FFmpeg counts several lost frames as one.
                    lost = max(0, round(packet.size / size) - 1)
                    more += lost * packet.duration * Fraction(packet.time_base)
                yield damage(self.info.path, self._seconds(samples), error.strerror)

    def _packets(self) -> Iterator[Any]:
        """Read the packets of the stream; an `FFmpegError` in place of bytes that are no packets."""
        failures = 0
        packets = self._container.demux(self._stream)
        while failures < _MOST_FAILURES:
            try:
                packet = next(packets, None)
            except av.EOFError:
                return
            except av.FFmpegError as error:
                failures += 1
                packets = self._container.demux(self._stream)
                yield error
                continue
            if packet is None:
                return
            failures = 0
            yield packet

    def _correct_time(self, packet: av.Packet, frame: av.AudioFrame, more: Fraction) -> None:
        """Correct the time stamp of a frame of a bare stream, in which FFmpeg passes over lost frames.

        Args:
            packet: Packet of the frame.
            frame: The frame.
            more: Seconds of lost frames that are not in the time stamps.
        """
        extra = self._stream.codec_context.extradata
        if self._container.format.name == "flac" and extra:
            span = frame_span(bytes(packet)[:16], int.from_bytes(extra[:2], "big"))
            if span is not None:
                frame.pts, frame.time_base = span[0], Fraction(1, frame.sample_rate)
        elif more and frame.pts is not None and frame.time_base:
            frame.pts += round(more / Fraction(frame.time_base))

    def _convert(self, frame: av.AudioFrame, position: int) -> Audio:
        """Convert a frame to float samples `(channels, samples)`."""
        if frame.sample_rate != self.info.sample_rate or frame.layout.nb_channels != self.info.channels:
            where = position / self.info.sample_rate
            raise damage(self.info.path, where, "its sample rate or channels change in the middle")
        if frame.format.is_planar and self.info.channels > _MOST_PLANES:
            (frame,) = self._packer.resample(frame)
        samples = frame.to_ndarray()
        if frame.format.is_packed:
            samples = rearrange(samples, "1 (t c) -> c t", c=self.info.channels)
        scale = _PCM_SCALE.get(frame.format.name.removesuffix("p"))
        if scale is None:
            with np.errstate(over="ignore"):  # The reader refuses what becomes infinite.
                return np.ascontiguousarray(samples, dtype=np.float32)
        offset = scale if samples.dtype == np.uint8 else 0.0
        return ((samples.astype(np.float64) - offset) / scale).astype(np.float32)

    def _check_end(self, position: int) -> None:
        """Notice if much less was decoded than the header states."""
        stated = self._stated_duration()
        if stated is None:
            return
        if position / self.info.sample_rate < stated - _TOLERANCE:
            error = truncation(self.info.path, position / self.info.sample_rate, stated)
            self.remarks.end_early(error)

    def _describe(self, path: Path) -> AudioInfo:
        stream = self._stream
        if not stream.rate or not stream.codec_context.channels:
            raise AudioError(f"{path} is corrupt: its audio stream has no sample rate or no channels")
        exact = self._samples if self._samples is not None else self._exact_length()
        delay = Timeline(self._container, stream).delay
        exact = exact and exact + delay
        return AudioInfo(
            path=path,
            duration=exact / stream.rate if exact else self._estimate_duration(delay / stream.rate),
            samples=exact,
            sample_rate=stream.rate,
            channels=stream.codec_context.channels,
            container=_container_name(self._container.format.name, path),
            codec=stream.codec_context.codec.canonical_name,
            streams=_stream_names(self._container, path),
            languages=languages(self._container.streams.audio),
            stream=self._number,
        )

    def _exact_length(self) -> int | None:
        """Length in samples by iTunes' gapless information; None without it."""
        # Hexadecimal: flags, delay, padding, length, and others.
        fields = self._container.metadata.get("iTunSMPB", "").split()
        # Some encoders of HE-AAC count at half the rate, others do not.
        if len(fields) < 4 or self._stream.codec_context.profile != "LC":
            return None
        try:
            return int(fields[3], 16) or None
        except ValueError:
            return None

    def _stated_duration(self) -> float | None:
        """Length in seconds by the header; None if the container has none, and FFmpeg estimates it."""
        name = self._container.format.name
        if self._samples is not None or name.startswith("mov"):
            return self.info.duration
        if not name.startswith(_WITH_DURATION):
            return None
        if not self._container.duration:
            return None
        whole = self._container.duration / av.time_base
        beginning = float((self._stream.start_time or 0) * (self._stream.time_base or 0))
        try:
            # mkvmerge and FFmpeg note the length of each stream.
            hours, minutes, seconds = self._stream.metadata.get("DURATION", "").split(":")
            noted = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        except ValueError:
            return whole - beginning if len(self._container.streams) == 1 else None
        return noted - beginning if noted <= whole + _TOLERANCE else None

    def _estimate_duration(self, delay: float) -> float | None:
        if self._stream.duration and self._stream.time_base:
            return delay + float(self._stream.duration * self._stream.time_base)
        if (end := _tagged_end(self._stream)) is not None:
            return end
        return self._container.duration / av.time_base if self._container.duration else None


def _open(path: Path, source: SplicedFile | None) -> Any:
    try:
        return av.open(source or f"file:{path}", options=_OPTIONS, metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise AudioError(
            f"{path} is not audio, or damaged: neither libsndfile nor FFmpeg can open it"
        ) from error


def _tagged_end(stream: Any) -> float | None:
    """End of a stream of Matroska by its tag `DURATION`, such as 00:03:25.120000000, in s."""
    try:
        hours, minutes, seconds = stream.metadata["DURATION"].split(":")
        return float(3600 * int(hours) + 60 * int(minutes) + float(seconds)) or None
    except (KeyError, ValueError):
        return None


def _container_name(names: str, path: Path) -> str:
    """Choose one of FFmpeg's names of a format: the file's suffix if it is one of them, else the first."""
    choices = names.split(",")
    suffix = path.suffix.lower().removeprefix(".")
    return suffix if suffix in choices else choices[0]


def _stream_names(container: Any, path: Path) -> tuple[str, ...]:
    """Names of the audio streams: their titles, or those of the stem atom, or MUSDB18's for five streams."""
    streams = container.streams.audio
    if len(streams) == 1:
        return ("audio",)
    titles = tuple(stream.metadata.get("title") or stream.metadata.get("name") for stream in streams)
    if all(titles):
        return titles
    if "mov" in container.format.name:
        named = _names_in_atom(path)
        if len(named) == len(streams) - 1:
            return ("mixture", *named)
    if len(streams) == len(_STEMS_OF_FIVE) and path.name.lower().endswith(".stem.mp4"):
        return _STEMS_OF_FIVE
    return tuple(title or f"audio {number}" for number, title in enumerate(titles, 1))


def _names_in_atom(path: Path) -> tuple[str, ...]:
    try:
        description = json.loads(read_stem_atom(path) or b"{}")
        return tuple(str(stem["name"]).lower() for stem in description.get("stems", ()))
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()

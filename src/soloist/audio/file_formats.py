"""File formats: suffixes, options for writing, and the limits of each encoder."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from soloist.errors import UsageError

Format = Literal["wav", "flac", "mp3", "ogg", "opus", "m4a", "stem"]
Clip = Literal["rescale", "clamp", "none"]

FORMATS: tuple[str, ...] = get_args(Format)
"""Names of the writable formats."""

AUDIO_SUFFIXES = (
    frozenset({".wav", ".wave", ".bwf", ".rf64", ".w64", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf"})
    | frozenset({".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".m4a", ".m4b", ".aac", ".ac3", ".mka"})
    | frozenset(
        {".wma", ".wv", ".ape", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".3gp"}
    )
)
"""Suffixes by which searches of folders recognise audio files, in lower case."""

_EXTENSIONS = MappingProxyType({"stem": "stem.mp4"})
_BIT_DEPTHS = MappingProxyType({"wav": (16, 24, 32), "flac": (16, 24)})
_DEFAULT_BIT_DEPTH = MappingProxyType({"wav": 32, "flac": 24})

_MPEG_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_AAC_RATES = (7350, *_MPEG_RATES, 64000, 88200, 96000)
_RATES = MappingProxyType(
    {"mp3": _MPEG_RATES, "opus": (48000,), "m4a": _AAC_RATES, "stem": _AAC_RATES},
)
_MAX_RATE = MappingProxyType({"wav": 2**32 - 1, "flac": 655350, "ogg": 192000})
_MAX_CHANNELS = MappingProxyType(
    {"wav": 65535, "flac": 8, "mp3": 2, "ogg": 8, "opus": 8, "m4a": 8, "stem": 8},
)

# Layer III: the bit rates of MPEG-1 (from 32 kHz), MPEG-2 (from 16 kHz) and MPEG-2.5, in kbit/s.
_MP3_BITRATES = (
    (32000, (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)),
    (16000, (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)),
    (8000, (8, 16, 24, 32, 40, 48, 56, 64)),
)
_DEFAULT_BITRATE_PER_CHANNEL = MappingProxyType({"mp3": 160, "opus": 96, "m4a": 128, "stem": 128})

_XIPH_ORDER = MappingProxyType(
    {
        3: (0, 2, 1),
        5: (0, 2, 1, 3, 4),
        6: (0, 2, 1, 4, 5, 3),
        7: (0, 2, 1, 5, 6, 4, 3),
        8: (0, 2, 1, 6, 7, 4, 5, 3),
    }
)


def xiph_order(channels: int) -> list[int]:
    """Index in WAV's channel order of each channel of an Ogg file.

    Vorbis and Opus put the centre between left and right, and low frequencies last (Vorbis I specification,
    4.3.9; RFC 7845, 5.1.1.2). libsndfile does not reorder the channels.
    """
    return list(_XIPH_ORDER.get(channels, range(channels)))


@dataclass(frozen=True)
class WriteOptions:
    """Options for writing stems.

    Args:
        format: Name of the format; "ogg" is Ogg Vorbis, "stem" one MP4 with a stream for each stem.
        bit_depth: Bits of a sample, for "wav" 16, 24 or 32 (float), for "flac" 16 or 24. None takes
            what loses nothing that can be heard or summed: 32 for "wav", 24 for "flac".
        bitrate: Bit rate of one file (for "stem": of one stream), in kbit/s; only for the lossy
            formats. None takes 320 for MP3, 256 for AAC, 192 for Opus and quality 8 for Vorbis (half of
            it for mono), or what the sample rate allows. Vorbis has a variable bit rate: the
            quality is taken whose nominal bit rate is nearest.
        clip: Treatment of samples beyond full scale in integer and lossy formats. "rescale" multiplies all
            stems of a track by one gain so that none exceeds full scale; "clamp" limits each sample to full
            scale; "none" changes nothing: integer formats saturate, and lossy formats encode the samples
            unchanged. Integers never wrap, and 32-bit float is neither clipped nor scaled.
        seed: Seed of the dither of integer formats.

    Raises:
        UsageError: A value is unknown, or does not fit the format.
    """

    format: Format = "wav"
    bit_depth: Literal[16, 24, 32] | None = None
    bitrate: int | None = None
    clip: Clip = "rescale"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise UsageError(f"format must be one of {', '.join(FORMATS)}, not {self.format!r}")
        if self.clip not in get_args(Clip):
            raise UsageError(f"clip must be one of {', '.join(get_args(Clip))}, not {self.clip!r}")
        self._check_bit_depth()
        if self.bitrate is not None and self.format in _BIT_DEPTHS:
            raise UsageError(f"{self.format} is lossless and has no bit rate; ask for a bit depth instead")
        if self.bitrate is not None and self.bitrate < 1:
            raise UsageError(f"bitrate must be positive, in kbit/s, not {self.bitrate}")
        if self.seed < 0:
            raise UsageError(f"seed must not be negative: {self.seed}")

    @property
    def extension(self) -> str:
        """Extension of file names, without the dot."""
        return _EXTENSIONS.get(self.format, self.format)

    @property
    def sample_bits(self) -> int | None:
        """Bits per sample of the file; None for lossy formats."""
        return self.bit_depth or _DEFAULT_BIT_DEPTH.get(self.format)

    @property
    def is_float(self) -> bool:
        """True if samples are written unchanged, as 32-bit float."""
        return self.format == "wav" and self.sample_bits == 32

    def _check_bit_depth(self) -> None:
        allowed = _BIT_DEPTHS.get(self.format, ())
        if self.bit_depth is None or self.bit_depth in allowed:
            return
        if not allowed:
            raise UsageError(f"{self.format} is lossy and has no bit depth; ask for a bit rate instead")
        choices = " or ".join(str(depth) for depth in allowed)
        raise UsageError(f"bit_depth of {self.format} must be {choices}, not {self.bit_depth}")


def check_channels(options: WriteOptions, channels: int) -> None:
    """Raise UsageError if a format cannot hold this number of channels."""
    limit = _MAX_CHANNELS[options.format]
    if not 1 <= channels <= limit:
        raise UsageError(
            f"{options.format} holds 1 to {limit} channels, not {channels}; write wav instead"
            if channels > limit
            else f"channels must be positive, not {channels}"
        )


def encoding_rate(options: WriteOptions, sample_rate: int) -> int:
    """Sample rate in a file of the format, Hz.

    Lossless formats hold any rate. Lossy formats hold a few (Opus only 48 kHz): audio is resampled to the
    next higher one, or to the highest.
    """
    if sample_rate < 1:
        raise UsageError(f"sample_rate must be positive, not {sample_rate}")
    if options.format not in _RATES:
        limit = _MAX_RATE[options.format]
        if sample_rate > limit:
            raise UsageError(f"{options.format} goes to {limit} Hz, not {sample_rate} Hz; write wav instead")
        return sample_rate
    rates = _RATES[options.format]
    return next((rate for rate in rates if rate >= sample_rate), rates[-1])


def encoding_bitrate(options: WriteOptions, rate: int, channels: int) -> int:
    """Bit rate in bit/s of MP3, Opus or AAC at an encoding rate in Hz.

    Raises:
        UsageError: The format cannot have the requested bit rate.
    """
    allowed: tuple[int, ...]
    if options.format == "mp3":
        allowed = next(bitrates for lowest, bitrates in _MP3_BITRATES if rate >= lowest)
        limits = ", ".join(str(bitrate) for bitrate in allowed)
    else:
        # Opus: RFC 6716 and libopus; AAC: at most 6144 bits for a channel's frame of 1024 samples.
        highest = 256 * channels if options.format == "opus" else 6 * rate * channels // 1000
        allowed = tuple(range(6 * channels, highest + 1))
        limits = f"{allowed[0]} to {allowed[-1]}"
    if options.bitrate is None:
        return 1000 * min(_DEFAULT_BITRATE_PER_CHANNEL[options.format] * channels, allowed[-1])
    if options.bitrate not in allowed:
        raise UsageError(
            f"bit rate of {options.format} at {rate} Hz and {channels} channel(s) must be "
            f"{limits} kbit/s, not {options.bitrate}"
        )
    return 1000 * options.bitrate

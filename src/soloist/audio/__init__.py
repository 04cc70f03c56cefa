"""Reading and writing any format in blocks, streaming resampling."""

from soloist.audio.blocks import cut_blocks, to_channels
from soloist.audio.formats import AUDIO_SUFFIXES, FORMATS, WriteOptions
from soloist.audio.info import AudioInfo
from soloist.audio.reader import AudioReader, probe, read_audio
from soloist.audio.resample import StreamResampler, resample_audio, resample_blocks
from soloist.audio.space import free_space, stem_space
from soloist.audio.spool import RawFormat, spool_stream
from soloist.audio.writer import StemWriter

__all__ = [
    "AUDIO_SUFFIXES",
    "FORMATS",
    "AudioInfo",
    "AudioReader",
    "RawFormat",
    "StemWriter",
    "StreamResampler",
    "WriteOptions",
    "cut_blocks",
    "free_space",
    "probe",
    "read_audio",
    "resample_audio",
    "resample_blocks",
    "spool_stream",
    "stem_space",
    "to_channels",
]

"""One small file of each format that Soloist reads."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile

from soloist.audio import StemWriter, WriteOptions

RATE = 16000

# Name of the file: format and subtype of libsndfile.
_SOUNDFILE = {
    "pcm16.wav": ("WAV", "PCM_16"),
    "pcm24.wav": ("WAV", "PCM_24"),
    "pcm8.wav": ("WAV", "PCM_U8"),
    "float.wav": ("WAV", "FLOAT"),
    "double.wav": ("WAV", "DOUBLE"),
    "mu-law.wav": ("WAV", "ULAW"),
    "ima-adpcm.wav": ("WAV", "IMA_ADPCM"),
    "ms-adpcm.wav": ("WAV", "MS_ADPCM"),
    "gsm.wav": ("WAV", "GSM610"),
    "extensible.wav": ("WAVEX", "PCM_16"),
    "big.rf64": ("RF64", "PCM_16"),
    "pcm16.w64": ("W64", "PCM_16"),
    "pcm16.aiff": ("AIFF", "PCM_16"),
    "float.aifc": ("AIFF", "FLOAT"),
    "pcm16.au": ("AU", "PCM_16"),
    "g721.au": ("AU", "G721_32"),
    "pcm16.caf": ("CAF", "PCM_16"),
    "alac.caf": ("CAF", "ALAC_16"),
    "pcm16.flac": ("FLAC", "PCM_16"),
    "vorbis.ogg": ("OGG", "VORBIS"),
    "opus.ogg": ("OGG", "OPUS"),
    "speech.mp3": ("MP3", "MPEG_LAYER_III"),
    "pcm16.avr": ("AVR", "PCM_16"),
    "pcm16.htk": ("HTK", "PCM_16"),
    "pcm16.sf": ("IRCAM", "PCM_16"),
    "pcm16.mat4": ("MAT4", "PCM_16"),
    "pcm16.mat5": ("MAT5", "PCM_16"),
    "pcm16.mpc": ("MPC2K", "PCM_16"),
    "pcm16.nist": ("NIST", "PCM_16"),
    "pcm16.paf": ("PAF", "PCM_16"),
    "pcm16.pvf": ("PVF", "PCM_16"),
    "pcm16.sds": ("SDS", "PCM_16"),
    "pcm16.svx": ("SVX", "PCM_16"),
    "pcm16.voc": ("VOC", "PCM_16"),
    "dpcm16.xi": ("XI", "DPCM_16"),
}
_MONO = ("gsm.wav", "g721.au", "pcm16.htk", "pcm16.sds", "pcm16.svx", "dpcm16.xi")

# Name of the file: FFmpeg's container and codec, and rate in Hz; those of a film have a picture, too.
_FFMPEG = {
    "flac.oga": ("ogg", "flac", RATE, False),
    "opus.opus": ("opus", "libopus", 48000, False),
    "music.mp3": ("mp3", "libmp3lame", 44100, False),
    "layer2.mp2": ("mp2", "mp2", 44100, False),
    "mp3.wav": ("wav", "libmp3lame", 44100, False),
    "adts.aac": ("adts", "aac", RATE, False),
    "dolby.ac3": ("ac3", "ac3", 44100, False),
    "aac.m4a": ("ipod", "aac", RATE, False),
    "alac.m4a": ("ipod", "alac", RATE, False),
    "film.mp4": ("mp4", "aac", RATE, True),
    "fragments.mp4": ("mp4", "aac", RATE, False),
    "film.mov": ("mov", "pcm_s16le", RATE, True),
    "film.mkv": ("matroska", "aac", RATE, True),
    "sound.mka": ("matroska", "flac", RATE, False),
    "opus.webm": ("webm", "libopus", 48000, False),
    "film.avi": ("avi", "pcm_s16le", RATE, True),
    "music.wma": ("asf", "wmav2", 44100, False),
    "film.mpg": ("mpeg", "mp2", 44100, True),
    "film.ts": ("mpegts", "aac", RATE, True),
    "film.flv": ("flv", "aac", 44100, True),
    "packed.wv": ("wv", "wavpack", RATE, False),
    "lossless.tta": ("tta", "tta", RATE, False),
    "speech.3gp": ("3gp", "libopencore_amrnb", 8000, False),
}
_OPTIONS = {"fragments.mp4": {"movflags": "frag_keyframe+empty_moov"}}


def make_small_files(folder: Path, seconds: float = 0.2) -> list[Path]:
    """Make the files in a folder: noise with a few tones, so that no coder takes it for silence."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (kind, subtype) in _SOUNDFILE.items():
        audio = _sound(1 if name in _MONO else 2, round(seconds * RATE))
        soundfile.write(folder / name, audio.T, RATE, subtype, format=kind)
    for name, (container, codec, rate, picture) in _FFMPEG.items():
        _encode(folder / name, container, codec, rate, picture, seconds)
    _make_stem_file(folder / "song.stem.mp4", seconds)
    _make_tagged_file(folder / "tagged.mp3", (folder / "music.mp3").read_bytes())
    return sorted(folder.iterdir())


def _sound(channels: int, samples: int) -> np.ndarray:
    generator = np.random.default_rng(samples)
    tones = np.sin(np.arange(samples) * np.array([[0.05], [0.11]]))[:channels]
    return (0.3 * tones + 0.05 * generator.standard_normal((channels, samples))).astype(np.float32)


def _encode(path: Path, container: str, codec: str, rate: int, picture: bool, seconds: float) -> None:
    layout = "mono" if codec == "libopencore_amrnb" else "stereo"
    audio = _sound(1 if layout == "mono" else 2, round(seconds * rate))
    with av.open(str(path), "w", format=container, options=_OPTIONS.get(path.name, {})) as file:
        picture_codec = {"mpeg": "mpeg1video", "flv": "flv"}.get(container, "mpeg4")
        film = file.add_stream(picture_codec, rate=25) if picture else None
        if film is not None:
            film.width, film.height, film.pix_fmt = 32, 32, "yuv420p"
        sound = file.add_stream(codec, rate=rate, layout=layout)
        sound.bit_rate = 12_200 if layout == "mono" else 64_000
        for number in range(round(25 * seconds) if film is not None else 0):
            shot = av.VideoFrame.from_ndarray(np.full((48, 32), 40 * number % 256, np.uint8), "yuv420p")
            shot.pts = number
            file.mux(film.encode(shot))
        if film is not None:
            file.mux(film.encode(None))
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio.T).reshape(1, -1), "flt", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        file.mux(sound.encode(frame))
        file.mux(sound.encode(None))


def _make_stem_file(path: Path, seconds: float) -> None:
    stems = [f"stem {number}" for number in range(4)]
    names = ["mixture", *stems]
    with StemWriter(dict.fromkeys(names, path), 44100, 2, WriteOptions("stem"), mixture="mixture") as writer:
        writer.write(np.stack([_sound(2, round(seconds * 44100))] * len(names)))
        writer.commit()


def _make_tagged_file(path: Path, content: bytes) -> None:
    """Write an MP3 file with an ID3 tag of a title and a picture."""
    title = b"TIT2" + struct.pack(">IH", 6, 0) + b"\x03title"
    picture = b"APIC" + struct.pack(">IH", 312, 0) + b"\0image/png\0\3\0" + bytes(299)
    body = title + picture
    size = bytes(len(body) >> shift & 0x7F for shift in (21, 14, 7, 0))
    path.write_bytes(b"ID3\3\0\0" + size + body + content[content.find(b"\xff\xfb") :])

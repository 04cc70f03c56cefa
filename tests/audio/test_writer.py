"""Writing: alignment, levels, bit depths, bit rates, and all or nothing."""

from __future__ import annotations

import json
import tracemalloc

import mutagen
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from soloist.audio import FORMATS, StemWriter, WriteOptions, probe, read_audio, resample_audio
from soloist.audio.stem_atom import read_stem_atom
from soloist.errors import AudioError, UsageError

SINGLE = tuple(name for name in FORMATS if name != "stem")
LOSSY = ("mp3", "ogg", "opus", "m4a", "stem")


def write_stems(folder, stems, options, *, rate=44100, block=7001, **extra):
    """Write `name -> (channels, samples)` and return the paths and the writer."""
    suffix = options.extension
    one = options.format == "stem"
    paths = {name: folder / (f"track.{suffix}" if one else f"{name}.{suffix}") for name in stems}
    audio = np.stack(list(stems.values()))
    with StemWriter(paths, rate, audio.shape[1], options, **extra) as writer:
        for start in range(0, audio.shape[-1], block):
            writer.write(audio[..., start : start + block])
        writer.commit()
    return paths, writer


SHAPES = [(2, 44100), (1, 48000), (1, 8000), (2, 96000), (2, 37800), (6, 44100), (8, 48000)]


@pytest.mark.parametrize(
    ("name", "channels", "rate"),
    [(name, *shape) for name in FORMATS for shape in SHAPES if name != "mp3" or shape[0] <= 2],
)
def test_what_is_written_is_read_back_aligned(tmp_path, noise, delay_of, name, channels, rate):
    stems = {
        stem: noise(channels, 20_001, rate, seed) for seed, stem in enumerate(("mixture", "vocals", "drums"))
    }
    options = WriteOptions(format=name)
    extra = {"mixture": "mixture"} if name == "stem" else {}
    paths, writer = write_stems(tmp_path / "made" / "here", stems, options, rate=rate, **extra)
    for number, (stem, audio) in enumerate(stems.items()):
        decoded, coded_rate = read_audio(paths[stem], stream=number if name == "stem" else 0)
        expected = resample_audio(audio, rate, coded_rate)
        assert coded_rate == rate or name in LOSSY
        assert decoded.shape == expected.shape
        assert delay_of(decoded, expected) == 0
        keeps = (
            [0, 1] if channels > 2 else slice(None)
        )  # the channel of low frequencies is filtered by codecs
        assert np.std((decoded - expected)[keeps]) < 0.2 * np.std(expected)
    assert writer.gain == 1.0
    assert {path.name for path in (tmp_path / "made" / "here").iterdir()} == {
        path.name for path in paths.values()
    }


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("samples", [1, 2, 1023, 1025, 1190])
def test_short_sounds_keep_their_length(tmp_path, noise, name, samples):
    stems = {"mixture": noise(2, 2000)[:, :samples], "rest": noise(2, 2000, seed=1)[:, :samples]}
    extra = {"mixture": "mixture"} if name == "stem" else {}
    paths, _ = write_stems(tmp_path, stems, WriteOptions(format=name), rate=48000, **extra)
    assert read_audio(paths["mixture"])[0].shape == (2, samples)


@pytest.mark.parametrize("name", ["wav", "flac"])
@pytest.mark.parametrize("bits", [16, 24])
def test_integers_have_all_their_bits_and_no_more(tmp_path, noise, name, bits):
    audio = noise()
    paths, _ = write_stems(tmp_path, {"a": audio}, WriteOptions(format=name, bit_depth=bits))
    assert soundfile.info(paths["a"]).subtype == f"PCM_{bits}"
    integers, _ = soundfile.read(paths["a"], dtype="int32")
    integers >>= 32 - bits
    assert (integers % 2).mean() == pytest.approx(0.5, abs=0.02)
    assert np.abs(integers.T - audio * 2.0 ** (bits - 1)).max() < 1.5


def test_float_is_neither_clipped_nor_scaled(tmp_path, noise):
    audio = noise(peak=7.5)
    for clip in ("rescale", "clamp", "none"):
        paths, writer = write_stems(tmp_path, {"a": audio}, WriteOptions(clip=clip))
        assert soundfile.info(paths["a"]).subtype == "FLOAT"
        np.testing.assert_array_equal(read_audio(paths["a"])[0], audio)
        assert (writer.gain, writer.peak) == (1.0, pytest.approx(7.5))


@pytest.mark.parametrize("name", FORMATS)
def test_rescale_is_one_gain_for_all_stems(tmp_path, noise, name):
    stems = {
        "mixture": noise(seed=1, peak=1.1),
        "loud": noise(seed=2, peak=2.0),
        "soft": noise(seed=3, peak=0.01),
    }
    options = WriteOptions(format=name, bit_depth=16 if name in ("wav", "flac") else None)
    extra = {"mixture": "mixture"} if name == "stem" else {}
    rate = 48000
    paths, writer = write_stems(tmp_path, stems, options, rate=rate, **extra)
    assert writer.peak == pytest.approx(2.0)
    assert writer.gain == pytest.approx(0.5, rel=1e-4)
    for number, (stem, audio) in enumerate(stems.items()):
        decoded, _ = read_audio(paths[stem], stream=number if name == "stem" else 0)
        level = np.vdot(decoded, audio) / np.vdot(audio, audio)
        assert level == pytest.approx(0.5, rel=0.05 if name in LOSSY else 1e-3)


@pytest.mark.parametrize("bits", [16, 24])
@given(peak=st.floats(0.9, 4), seed=st.integers(0, 99))
def test_rescaled_integers_never_reach_the_rails(tmp_path, bits, peak, seed):
    square = np.where(np.arange(4000) % 100 < 50, peak, -peak).astype(np.float32)[None]
    options = WriteOptions(format="wav", bit_depth=bits, seed=seed)
    paths, writer = write_stems(tmp_path, {"a": square}, options)
    integers = soundfile.read(paths["a"], dtype="int32")[0] >> (32 - bits)
    expected = np.sign(square[0]) * peak * writer.gain * 2 ** (bits - 1)
    assert np.abs(integers - expected).max() < 2  # half a step, the dither of one, and 24 bits of a float
    assert writer.gain <= 1


@pytest.mark.parametrize("clip", ["clamp", "none"])
@pytest.mark.parametrize("name", ["wav", "flac"])
@pytest.mark.parametrize("bits", [16, 24])
def test_integers_saturate_and_never_wrap(tmp_path, name, bits, clip):
    audio = np.array([[1.0, -1.0, 1.5, -1.5, 100, -100, 1e9, -1e9, 1e-3, 0]], np.float32)
    options = WriteOptions(format=name, bit_depth=bits, clip=clip)
    paths, writer = write_stems(tmp_path, {"a": audio}, options)
    decoded, _ = read_audio(paths["a"])
    np.testing.assert_allclose(decoded, np.clip(audio, -1, 1), atol=2.6 * 2.0 ** (1 - bits))
    assert writer.gain == 1.0


def test_clamp_cuts_and_none_keeps_what_lossy_formats_get(tmp_path, noise):
    audio = noise(peak=3.0)
    peaks = {}
    for clip in ("clamp", "none"):
        paths, _ = write_stems(tmp_path, {"a": audio}, WriteOptions(format="m4a", clip=clip))
        peaks[clip] = np.abs(read_audio(paths["a"])[0]).max()
    assert peaks["clamp"] < 1.5
    assert peaks["none"] > 2


@pytest.mark.parametrize("name", ["wav", "flac"])
@pytest.mark.parametrize("bits", [16, 24])
def test_silence_stays_digital_silence(tmp_path, noise, name, bits):
    audio = noise()
    audio[:, 5000:15000] = 0
    options = WriteOptions(format=name, bit_depth=bits)
    paths, _ = write_stems(tmp_path, {"sound": audio, "silent": np.zeros_like(audio)}, options)
    assert not read_audio(paths["silent"])[0].any()
    assert not read_audio(paths["sound"])[0][:, 5000:15000].any()


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "ogg"])
def test_the_same_input_gives_the_same_bytes(tmp_path, noise, name):
    stems = {"mixture": noise(seed=1, peak=1.3), "b": noise(seed=2)}
    extra = {"mixture": "mixture"} if name == "stem" else {}
    options = WriteOptions(format=name, bit_depth=16 if name in ("wav", "flac") else None, seed=3)
    contents = []
    for block in (20_001, 7001, 333):
        paths, _ = write_stems(tmp_path, stems, options, rate=37800, block=block, **extra)
        contents.append({path: path.read_bytes() for path in paths.values()})
    assert contents[0] == contents[1] == contents[2]


def test_ogg_differs_in_nothing_but_its_serial_number(tmp_path, noise):
    decoded = []
    for block in (20_001, 333):
        paths, _ = write_stems(tmp_path, {"a": noise()}, WriteOptions(format="ogg"), block=block)
        decoded.append(read_audio(paths["a"])[0])
    np.testing.assert_array_equal(*decoded)


def test_a_stem_does_not_depend_on_which_others_are_written(tmp_path, noise):
    options = WriteOptions(format="flac", bit_depth=16)
    alone, _ = write_stems(tmp_path / "alone", {"b": noise()}, options)
    both, _ = write_stems(tmp_path / "both", {"a": noise(seed=5), "b": noise()}, options)
    assert alone["b"].read_bytes() == both["b"].read_bytes()


@pytest.mark.parametrize(
    ("rate", "bitrate"), [(44100, 320), (44100, 96), (48000, 192), (22050, 64), (8000, 24)]
)
def test_mp3_has_the_bit_rate_that_was_asked_for(tmp_path, noise, rate, bitrate):
    options = WriteOptions(format="mp3", bitrate=bitrate)
    paths, _ = write_stems(tmp_path, {"a": noise(samples=rate, rate=rate)}, options, rate=rate)
    assert mutagen.File(paths["a"]).info.bitrate == pytest.approx(1000 * bitrate, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "bitrate"), [("opus", 64), ("opus", 192), ("m4a", 96), ("m4a", 256), ("ogg", 128)]
)
def test_bit_rates_of_other_formats(tmp_path, noise, name, bitrate):
    audio = noise(samples=44100 * 4) + np.float32(0.02) * noise(samples=44100 * 4, seed=1)
    hiss = np.random.default_rng(0).normal(0, 0.05, audio.shape).astype(np.float32)
    paths, _ = write_stems(tmp_path, {"a": audio + hiss}, WriteOptions(format=name, bitrate=bitrate))
    if name == "ogg":  # a variable bit rate, of which the header names the usual one
        assert mutagen.File(paths["a"]).info.bitrate == pytest.approx(1000 * bitrate, rel=0.02)
    else:
        assert 8 * paths["a"].stat().st_size / 4000 == pytest.approx(bitrate, rel=0.1)


@pytest.mark.parametrize(
    ("options", "rate", "channels", "reason"),
    [
        (WriteOptions(format="mp3", bitrate=100), 44100, 2, "112, 128"),
        (WriteOptions(format="mp3", bitrate=320), 16000, 1, "144, 160"),
        (WriteOptions(format="opus", bitrate=600), 48000, 2, "12 to 512"),
        (WriteOptions(format="m4a", bitrate=500), 44100, 1, "6 to 264"),
        (WriteOptions(format="ogg", bitrate=5), 44100, 2, "kbit/s"),
        (WriteOptions(format="ogg", bitrate=128), 96000, 2, "left to the encoder"),
        (WriteOptions(format="mp3"), 44100, 3, "1 to 2 channels"),
        (WriteOptions(format="flac"), 44100, 9, "1 to 8 channels"),
        (WriteOptions(format="flac"), 700_000, 2, "655350"),
        (WriteOptions(), 0, 2, "sample_rate"),
        (WriteOptions(), 44100, 0, "channels"),
    ],
)
def test_limits_are_named_before_anything_is_made(tmp_path, options, rate, channels, reason):
    with pytest.raises(UsageError, match=reason):
        StemWriter({"a": tmp_path / "new" / "a.x"}, rate, channels, options)
    assert not list(tmp_path.iterdir())


def test_stems_in_one_file(tmp_path, noise):
    names = ("drums", "bass", "mixture", "other", "vocals")
    stems = {name: noise(seed=seed) for seed, name in enumerate(names)}
    paths, _ = write_stems(tmp_path, stems, WriteOptions(format="stem", bitrate=128), mixture="mixture")
    path = paths["mixture"]
    assert path.name == "track.stem.mp4"
    assert probe(path).streams == ("mixture", "drums", "bass", "other", "vocals")
    for number, name in enumerate(probe(path).streams):
        decoded, _ = read_audio(path, stream=number)
        assert decoded.shape == stems[name].shape
        assert np.std(decoded - stems[name]) < 0.2 * np.std(decoded)
    description = json.loads(read_stem_atom(path))
    assert [stem["name"] for stem in description["stems"]] == ["Drums", "Bass", "Other", "Vocals"]
    assert description["version"] == 1


def test_paths_that_clash(tmp_path):
    a, b = tmp_path / "a.wav", tmp_path / "b.wav"
    for paths, options, mixture, reason in [
        ({}, WriteOptions(), None, "at least one"),
        ({"x": a, "y": tmp_path / "." / "a.wav"}, WriteOptions(), None, "one file"),
        ({"x": a}, WriteOptions(), "x", "for the format"),
        ({"x": a, "y": b}, WriteOptions(format="stem"), "x", "is one file for all"),
        ({"x": a, "y": a}, WriteOptions(format="stem"), None, "needs the mixture"),
        ({"x": a}, WriteOptions(format="stem"), "x", "at least one stem"),
    ]:
        with pytest.raises(UsageError, match=reason):
            StemWriter(paths, 44100, 2, options, mixture=mixture)


def test_committing_replaces_what_was_there(tmp_path, noise):
    (tmp_path / "a.wav").write_text("from before")
    paths, _ = write_stems(tmp_path, {"a": noise()}, WriteOptions())
    np.testing.assert_array_equal(read_audio(paths["a"])[0], noise())


def test_blocks_of_another_shape(tmp_path):
    with StemWriter({"a": tmp_path / "a.wav"}, 44100, 2, WriteOptions()) as writer:
        for shape in [(2, 2, 5), (1, 1, 5), (2, 5)]:
            with pytest.raises(UsageError, match=r"\(1, 2, samples\)"):
                writer.write(np.zeros(shape, np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_stems_that_are_no_numbers_are_refused(tmp_path, noise, value):
    audio = noise()
    audio[1, 9000] = value
    with (
        pytest.raises(AudioError, match="vocals is not finite"),
        StemWriter({"vocals": tmp_path / "a.wav"}, 44100, 2, WriteOptions()) as writer,
    ):
        writer.write(audio[None])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["wav", "flac", "mp3"])
def test_memory_does_not_depend_on_the_length(tmp_path, noise, name):
    block = noise(samples=44100)[None]
    peaks = []
    for seconds in (4, 40):
        tracemalloc.start()
        with StemWriter({"a": tmp_path / "a"}, 44100, 2, WriteOptions(format=name)) as writer:
            for _ in range(seconds):
                writer.write(block)
            writer.commit()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]

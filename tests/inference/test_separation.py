"""`soloist.separate` returns stems as a mapping that can be saved."""

from __future__ import annotations

import array
import io

import numpy as np
import pytest
import soundfile
import torch

import soloist
from soloist.errors import AudioError, UsageError
from soloist.inference.recording import read_recording

RATE = 8000


def read(*given):
    recording = read_recording(*given)
    return recording.audio, recording.sample_rate


@pytest.fixture(scope="module")
def audio():
    return (0.1 * np.random.default_rng(0).standard_normal((2, RATE))).astype(np.float32)


@pytest.fixture(scope="module")
def separation(audio):
    return soloist.separate(audio, RATE, model="hpss", two_stems="harmonic")


def test_it_is_a_read_only_mapping_of_stems(separation, audio):
    assert isinstance(separation, soloist.Separation)
    assert list(separation) == ["harmonic", "no_harmonic"]
    assert dict(separation)["harmonic"] is separation["harmonic"]
    assert separation.sample_rate == RATE
    assert all(stem.shape == audio.shape and stem.dtype == np.float32 for stem in separation.values())
    np.testing.assert_allclose(sum(separation.values()), audio, atol=1e-6)
    with pytest.raises(TypeError):
        separation["vocals"] = audio
    with pytest.raises(KeyError):
        separation["vocals"]
    assert "no_harmonic (2, 8000)" in repr(separation)


def test_saved_stems_are_those_of_the_mapping(separation, tmp_path):
    paths = separation.save(tmp_path / "stems")
    assert paths == {name: tmp_path / "stems" / f"{name}.wav" for name in separation}
    for name, path in paths.items():
        samples, rate = soundfile.read(path, dtype="float32")
        assert rate == RATE
        np.testing.assert_array_equal(samples.T, separation[name])


def test_stems_are_saved_in_other_formats(separation, tmp_path):
    assert soundfile.info(separation.save(tmp_path, format="flac")["harmonic"]).format == "FLAC"
    with pytest.raises(UsageError, match="format must be one of"):
        separation.save(tmp_path, format="tape")


@pytest.mark.parametrize(
    "audio",
    [np.zeros((2, 0), np.float32), np.full(9, np.nan, np.float32), np.zeros((1, 2, 9), np.float32)],
)
def test_what_is_no_audio_is_refused(audio):
    with pytest.raises(UsageError, match="finite samples"):
        soloist.separate(audio, RATE)


@pytest.fixture(scope="module")
def encoded(audio):
    """The audio as a WAV file of 32-bit float."""
    file = io.BytesIO()
    soundfile.write(file, audio.T, RATE, subtype="FLOAT", format="WAV")
    return file.getvalue()


FORMS = {
    "float64": lambda audio: audio.astype(np.float64),
    "big-endian": lambda audio: audio.astype(">f4"),
    "list": lambda audio: audio.tolist(),
    "list of arrays": list,
    "tensor": torch.from_numpy,
    "tensor with gradient": lambda audio: torch.from_numpy(audio).double().requires_grad_(),
    "samples first": lambda audio: audio.T,
    "samples first, tensor": lambda audio: torch.from_numpy(audio).T,
    "samples first, list": lambda audio: audio.T.tolist(),
    "backwards twice": lambda audio: audio[:, ::-1].copy()[:, ::-1],
}


@pytest.mark.parametrize("form", FORMS)
def test_samples_of_every_library_are_the_same_samples(audio, form):
    samples, rate = read(FORMS[form](audio), RATE)
    np.testing.assert_array_equal(samples, audio)
    assert rate == RATE
    assert samples.dtype == np.float32
    assert samples.flags.c_contiguous
    assert samples.flags.writeable


@pytest.mark.parametrize("dtype", [torch.half, torch.bfloat16, np.float16])
def test_half_precision_is_taken_as_it_is(audio, dtype):
    rounded = torch.from_numpy(audio).to(dtype) if isinstance(dtype, torch.dtype) else audio.astype(dtype)
    samples, _ = read(rounded, RATE)
    np.testing.assert_array_equal(samples, torch.as_tensor(rounded).float().numpy())
    np.testing.assert_allclose(samples, audio, rtol=2**-8)


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        (np.int8, [-128, -64, 0, 64]),
        (np.uint8, [0, 64, 128, 192]),
        (np.int16, [-32768, -16384, 0, 16384]),
        (">i2", [-32768, -16384, 0, 16384]),
        (np.uint16, [0, 16384, 32768, 49152]),
        (np.int32, [-(2**31), -(2**30), 0, 2**30]),
        (np.uint32, [0, 2**30, 2**31, 3 * 2**30]),
    ],
)
def test_integers_are_scaled_by_their_full_scale(dtype, values):
    expected = [[-1.0, -0.5, 0.0, 0.5]]
    np.testing.assert_array_equal(read(np.array(values, dtype), RATE)[0], expected)


def test_integers_of_other_libraries_are_scaled():
    expected = [[-1.0, -0.5, 0.0, 0.5]]
    values = [-32768, -16384, 0, 16384]
    for samples in (torch.tensor(values, dtype=torch.int16), array.array("h", values)):
        np.testing.assert_array_equal(read(samples, RATE)[0], expected)
    np.testing.assert_array_equal(read(torch.tensor([0, 64, 128, 192], dtype=torch.uint8), RATE)[0], expected)


@pytest.mark.parametrize("samples", [[[1, 2, 3]], np.ones((2, 9), np.int64), torch.ones(9).long()])
def test_integers_without_a_certain_scale_are_refused(samples):
    with pytest.raises(UsageError, match=r"int64 have no certain full scale: .*numpy\.int16"):
        soloist.separate(samples, RATE)


@pytest.mark.parametrize("shape", [(9, 2), (3, 1), (66, 60), (100, 100), (20000, 20000), (44100, 17)])
def test_a_shape_that_is_not_certain_is_refused_before_it_is_copied(shape):
    samples = np.broadcast_to(np.float32(0.1), shape)
    with pytest.raises(UsageError, match=r"not certainly \(channels, samples\).*transpose .* with \.T"):
        soloist.separate(samples, RATE)


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (2, 2), (8, 8), (6, 900), (64, 900)])
def test_a_shape_of_channels_and_samples_stays(shape):
    assert read(np.ones(shape, np.float32), RATE)[0].shape == shape


@pytest.mark.parametrize("shape", [(65, 1), (200, 2), (44100, 6), (900, 16)])
def test_a_shape_that_is_certainly_samples_and_channels_is_transposed(shape):
    assert read(np.ones(shape, np.float32), RATE)[0].shape == shape[::-1]


@pytest.mark.parametrize("rate", [np.int64(RATE), np.uint16(RATE), 8000.0, "8000", torch.tensor(RATE)])
def test_a_whole_rate_is_taken_whatever_its_type(audio, rate):
    separation = soloist.separate(audio[:, :500], rate, model="hpss")
    assert separation.sample_rate == RATE
    assert type(separation.sample_rate) is int


@pytest.mark.parametrize("rate", [44100.5, "44.1k", 0, -8000, True, float("nan"), [8000, 8000], b""])
def test_a_rate_that_is_not_whole_is_refused(audio, rate):
    with pytest.raises(UsageError, match="the rate must be a whole number of Hz"):
        soloist.separate(audio, rate)


def test_samples_need_a_rate(audio):
    with pytest.raises(UsageError, match="samples need their rate"):
        soloist.separate(audio)


def test_one_name_of_a_stem_is_one_name(audio):
    assert list(soloist.separate(audio, RATE, model="hpss", stems="percussive")) == ["percussive"]
    assert len(soloist.separate(audio, RATE, model="hpss", stems=None)) == 2
    with pytest.raises(UsageError, match="no stem 'vocals'"):
        soloist.separate(audio, RATE, model="hpss", stems="vocals")


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, io.BytesIO])
def test_encoded_files_are_taken_from_memory(encoded, audio, kind):
    samples, rate = read(kind(encoded))
    np.testing.assert_array_equal(samples, audio)
    assert rate == RATE


def test_file_objects_are_read_from_their_position_on(encoded, audio, tmp_path):
    (tmp_path / "two").write_bytes(b"before" + encoded)
    with open(tmp_path / "two", "rb") as file:
        file.seek(6)
        np.testing.assert_array_equal(read(file)[0], audio)
    written = io.BytesIO()
    soundfile.write(written, audio.T, RATE, format="FLAC")
    with pytest.raises(AudioError, match=r"seek\(0\) rewinds"):
        soloist.separate(written)


def test_a_damaged_file_in_memory_is_named_without_a_temporary_path(encoded):
    for damaged in (b"", b"no audio" * 100, encoded[:50]):
        with pytest.raises(AudioError, match="the encoded audio") as caught:
            soloist.separate(damaged)
        assert "stream-" not in str(caught.value)


def test_a_text_file_and_a_closed_file_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"gives str instead of bytes: open it in binary mode"):
        soloist.separate(io.StringIO("text"))
    (file := io.BytesIO(b"1")).close()
    with pytest.raises(UsageError, match="closed file"):
        soloist.separate(file)


def test_a_file_of_another_rate_than_stated_is_refused(encoded):
    assert read(encoded, np.int64(RATE))[1] == RATE
    with pytest.raises(UsageError, match="8000 Hz, not 44100 Hz: leave out the rate"):
        soloist.separate(encoded, 44100)


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (None, "NoneType"),
        ([[0.0, 1.0], [0.0]], "list"),
        ((np.zeros((2, 9)), RATE), "samples and their rate are two arguments"),
        (["a.wav", "b.wav"], "one recording"),
        (np.zeros(9, bool), "bool"),
        (np.zeros(9, complex), "complex128"),
        (torch.zeros(2, 9).to_sparse(), "to_dense"),
        (np.array([0.0, 1e300]), "sample 1 of channel 0 is 1e\\+300"),
        (np.zeros((1, 2, 9)), "batch one by one"),
    ],
)
def test_other_values_are_refused_by_name(audio, message):
    with pytest.raises(UsageError, match=message):
        soloist.separate(audio, RATE)


def test_read_only_samples_are_separated_without_a_warning(audio, recwarn):
    samples = audio[:, :500].copy()
    samples.setflags(write=False)
    soloist.separate(samples, RATE, model="hpss")
    assert not recwarn.list

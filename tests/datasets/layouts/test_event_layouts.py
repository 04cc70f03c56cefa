"""ESC-50 and FUSS, by small trees in their layouts."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from soloist.config import build_object
from soloist.datasets import ESC50, FUSS, check_corpus, guess_layout
from soloist.errors import AudioError, ConfigError, UsageError
from soloist.mixing import ClipMixer, StemMixer
from stem_corpora import RATE, noises
from talker_corpora import residual, write_mixtures

CATEGORIES = {"dog": (0, True), "rain": (10, True), "airplane": (47, False)}
HEADINGS = "filename,fold,target,category,esc10,src_file,take"


@pytest.fixture
def esc50(tmp_path):
    """Five folds of three classes, one clip each."""
    (tmp_path / "audio").mkdir()
    (tmp_path / "meta").mkdir()
    lines = [HEADINGS]
    for fold in range(1, 6):
        for category, (target, esc10) in CATEGORIES.items():
            source = 100 * fold + target
            name = f"{fold}-{source}-A-{target}.wav"
            (noise,) = noises(("clip",), seconds=0.2, seed=source).values()
            soundfile.write(tmp_path / "audio" / name, noise.T, RATE)
            lines.append(f"{name},{fold},{target},{category},{esc10},{source},A")
    (tmp_path / "meta" / "esc50.csv").write_text("\n".join(lines))
    return tmp_path


@pytest.fixture
def fuss(tmp_path):
    """Mixtures of one to four sounds."""
    for split, counts in {"train": (1, 4), "validation": (2,), "eval": (3,)}.items():
        lines = []
        for number, count in enumerate(counts):
            example = f"example{number:05}"
            sounds = ["background0_sound", *(f"foreground{index}_sound" for index in range(count - 1))]
            sources = [f"{example}_sources/{sound}" for sound in sounds]
            _write_example(tmp_path / split, example, sources)
            lines.append("\t".join(f"{split}/{name}.wav" for name in [example, *sources]))
        (tmp_path / f"{split}_example_list.txt").write_text("\n".join(reversed(lines)) + "\n")
    return tmp_path


def _write_example(folder, example, sources):
    write_mixtures(folder, example, {example: sources}, 16000)
    for name in [example, *sources]:
        (folder / name / f"{example}.wav").rename(folder / f"{name}.wav")
        (folder / name).rmdir()


def test_folds_are_splits(esc50):
    corpus = ESC50(esc50)
    assert corpus.splits == ("train", "valid", "test")
    assert {split: len(corpus.tracks(split)) for split in corpus.splits} == {
        "train": 9,
        "valid": 3,
        "test": 3,
    }
    names = [track.name for track in corpus.tracks("test")]
    assert names == ["audio/5-500-A-0", "audio/5-510-A-10", "audio/5-547-A-47"]
    assert [track.labels for track in corpus.tracks("test")] == [("dog",), ("rain",), ("airplane",)]
    (stem,) = corpus.tracks("valid")[0].stems.values()
    assert stem.path == esc50 / "audio/4-400-A-0.wav"


def test_folds_are_chosen_by_recipes(esc50):
    config = {
        "class_path": "soloist.datasets.ESC50",
        "init_args": {"root": str(esc50), "splits": {"train": [2, 3, 4, 5], "test": [1]}, "esc10": True},
    }
    corpus = build_object(config, "a test", ESC50)
    assert corpus.splits == ("train", "test")
    assert [track.name for track in corpus.tracks("test")] == ["audio/1-100-A-0", "audio/1-110-A-10"]
    config["init_args"]["splits"] = {"train": ["one"]}
    with pytest.raises(ConfigError, match="splits"):
        build_object(config, "a test", ESC50)


@pytest.mark.parametrize("splits", [{"train": [1, 2], "test": [2]}, {"train": [0]}, {"test": [6]}])
def test_a_fold_is_in_one_split_and_there_are_five(esc50, splits):
    with pytest.raises(UsageError, match="must be one of 1 to 5, and in one split only"):
        ESC50(esc50, splits=splits)


def test_different_classes_are_mixed(esc50):
    mixer = ClipMixer(ESC50(esc50), "train", sources=["sound1", "sound2"], sample_rate=RATE, duration=0.2)
    category = {track.name: track.labels[0] for track in ESC50(esc50).tracks("train")}
    for index in range(18):
        example = mixer.draw(index)
        first, second = example.name.split(" + ")
        assert category[first] != category[second]
        np.testing.assert_allclose(example.references.sum(axis=0), example.mixture, atol=1e-6)


def test_clips_that_were_converted_and_clips_that_are_missing(esc50):
    clip = esc50 / "audio/5-500-A-0.wav"
    audio, rate = soundfile.read(clip)
    clip.unlink()
    dog = ESC50(esc50).tracks("test")[0]
    with pytest.raises(AudioError, match=r"5-500-A-0\.wav does not exist"):
        dog.stems["category"].read()
    soundfile.write(clip.with_suffix(".flac"), audio, rate)
    (stem,) = ESC50(esc50).tracks("test")[0].stems.values()
    assert stem.path.suffix == ".flac"


def test_another_folder_and_a_damaged_table_are_refused(esc50, tmp_path_factory):
    with pytest.raises(UsageError, match=r"is not esc-50: there is no meta/esc50\.csv in it"):
        ESC50(tmp_path_factory.mktemp("other"))
    table = esc50 / "meta/esc50.csv"
    table.write_text(table.read_text().replace("category", "class"))
    with pytest.raises(AudioError, match=r"esc50\.csv has no column category"):
        ESC50(esc50).tracks("train")


def test_examples_of_fuss(fuss):
    corpus = FUSS(fuss)
    assert corpus.splits == ("train", "validation", "eval")
    alone, four = corpus.tracks("train")
    assert (alone.name, four.name) == ("train/example00000", "train/example00001")
    assert list(alone.stems) == ["background0_sound"]
    assert list(four.stems) == ["background0_sound", *(f"foreground{index}_sound" for index in range(3))]
    for split in corpus.splits:
        for track in corpus.tracks(split):
            assert residual(track) == 0
            assert track.labels == ()


def test_sounds_that_an_example_does_not_have_are_silent(fuss):
    names = ["background0_sound", *(f"foreground{index}_sound" for index in range(3))]
    mixer = StemMixer(FUSS(fuss), "train", sources=names, sample_rate=16000, duration=None, channels=1)
    examples = {example.name: example for example in (mixer.draw(index) for index in range(2))}
    alone = examples["train/example00000"].references
    assert alone[0].any()
    assert not alone[1:].any()
    assert examples["train/example00001"].references.any(axis=(1, 2)).all()


def test_a_damaged_list_a_missing_source_and_another_folder_are_told(fuss, tmp_path_factory):
    (fuss / "train/example00001_sources/foreground1_sound.wav").unlink()
    track = FUSS(fuss).tracks("train")[1]
    with pytest.raises(AudioError, match=r"foreground1_sound\.wav does not exist"):
        track.stems["foreground1_sound"].read()
    (fuss / "eval_example_list.txt").write_text("eval/example00000.wav\n")
    with pytest.raises(
        AudioError, match=r"eval_example_list\.txt names no sources of eval/example00000\.wav"
    ):
        FUSS(fuss).tracks("eval")
    (fuss / "eval_example_list.txt").unlink()
    assert FUSS(fuss).splits == ("train", "validation")
    with pytest.raises(UsageError, match=r"is not fuss: it has none of train_example_list\.txt, "):
        FUSS(tmp_path_factory.mktemp("other"))


def test_esc50_is_recognised_and_nothing_is_wrong_with_it(esc50):
    assert guess_layout(esc50) is ESC50
    assert check_corpus(ESC50(esc50)).findings == []


def test_fuss_is_recognised_and_nothing_is_wrong_with_it(fuss):
    assert guess_layout(fuss) is FUSS
    assert check_corpus(FUSS(fuss)).findings == []

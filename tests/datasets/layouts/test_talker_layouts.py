"""WSJ0-mix, WHAM!, WHAMR! and LibriMix, by small trees in their layouts."""

from __future__ import annotations

import csv
import shutil

import numpy as np
import pytest

from soloist.config import build_object
from soloist.datasets import WHAM, WHAMR, LibriMix, StemFile, WSJ0Mix, check_corpus, guess_layout
from soloist.errors import AudioError, UsageError
from soloist.mixing import StemMixer
from talker_corpora import residual, write_mixtures

WSJ0_NAMES = {
    "tr": ["011a0101_1.2345_20ca010c_-1.2345", "01ta010h_0.05_011o030a_-0.05"],
    "cv": ["011c0205_2e-05_40na0105_-2e-05"],
    "tt": ["050a0501_1.7783_442o030z_-1.7783"],
}
THREE = "011a0101_1.2_20ca010c_-0.3_40na0105_-1.5"
LIBRISPEECH_NAMES = {
    "train-100": ["103-1240-0003_1235-135887-0017", "27-123349-0006_103-1240-0009"],
    "dev": ["1272-128104-0000_2035-147961-0014"],
    "test": ["1089-134686-0000_121-127105-0031"],
}
NOISY = {"mix_clean": ("s1", "s2"), "mix_both": ("s1", "s2", "noise"), "mix_single": ("s1", "noise")}


def in_rooms(suffix):
    """Mixtures of WHAMR!, with or without rooms."""
    return {
        mixture + suffix: [signal if signal == "noise" else signal + suffix for signal in signals]
        for mixture, signals in NOISY.items()
    }


def write_corpus(folder, names, mixtures, rate=8000):
    for split, mixed in names.items():
        for name in mixed:
            write_mixtures(folder / split, name, mixtures, rate)


@pytest.fixture(scope="module")
def wsj0_mix(tmp_path_factory):
    root = tmp_path_factory.mktemp("wsj0-mix")
    write_corpus(root / "2speakers/wav8k/min", WSJ0_NAMES, {"mix": ("s1", "s2")})
    write_corpus(root / "2speakers/wav16k/max", WSJ0_NAMES, {"mix": ("s1", "s2")}, 16000)
    write_corpus(root / "3speakers/wav8k/min", {"tr": [THREE]}, {"mix": ("s1", "s2", "s3")})
    return root


@pytest.fixture(scope="module")
def wham(tmp_path_factory):
    root = tmp_path_factory.mktemp("wham")
    write_corpus(root / "wav8k/min", WSJ0_NAMES, NOISY)
    return root


@pytest.fixture(scope="module")
def whamr(tmp_path_factory):
    root = tmp_path_factory.mktemp("whamr")
    write_corpus(root / "wav8k/min", WSJ0_NAMES, {**in_rooms("_anechoic"), **in_rooms("_reverb")})
    return root


@pytest.fixture(scope="module")
def librimix(tmp_path_factory):
    root = tmp_path_factory.mktemp("storage") / "Libri2Mix"
    write_corpus(root / "wav8k/min", LIBRISPEECH_NAMES, NOISY)
    write_tables(root / "wav8k/min")
    return root


def write_tables(folder, machine="/home/somebody/storage/Libri2Mix/wav8k/min"):
    """Write the tables with the paths of another machine."""
    (folder / "metadata").mkdir()
    for split, names in LIBRISPEECH_NAMES.items():
        for mixture, signals in NOISY.items():
            columns = {"mixture_path": mixture} | {
                "noise_path" if signal == "noise" else f"source_{signal[1]}_path": signal
                for signal in signals
            }
            rows = [
                {"mixture_ID": name}
                | {column: f"{machine}/{split}/{signal}/{name}.wav" for column, signal in columns.items()}
                | {"length": 800}
                for name in names
            ]
            with open(folder / "metadata" / f"mixture_{split}_{mixture}.csv", "w", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)


def test_two_talkers_of_wsj0(wsj0_mix):
    corpus = WSJ0Mix(wsj0_mix / "2speakers")
    assert corpus.splits == ("tr", "cv", "tt")
    assert [track.name for track in corpus.tracks("tr")] == WSJ0_NAMES["tr"]
    assert [track.labels for track in corpus.tracks("tr")] == [("011", "20c"), ("01t", "011")]
    assert corpus.tracks("cv")[0].labels == ("011", "40n")
    for split in corpus.splits:
        for track in corpus.tracks(split):
            assert list(track.stems) == ["s1", "s2"]
            assert residual(track) == 0
            assert track.sample_rate == 8000


def test_three_talkers_of_wsj0(wsj0_mix):
    (track,) = WSJ0Mix(wsj0_mix / "3speakers").tracks("tr")
    assert list(track.stems) == ["s1", "s2", "s3"]
    assert track.labels == ("011", "20c", "40n")
    assert residual(track) == 0


def test_rate_and_length_are_chosen(wsj0_mix):
    root = wsj0_mix / "2speakers"
    assert WSJ0Mix(root, sample_rate=16000).tracks("tr")[0].sample_rate == 16000
    assert WSJ0Mix(root, length="max").tracks("tr")[0].mixture.path.parts[-5:-3] == ("wav16k", "max")
    with pytest.raises(UsageError, match=r"is not wsj0-mix: it has none of wav16k/min$"):
        WSJ0Mix(root, sample_rate=16000, length="min")


@pytest.mark.parametrize(
    ("mixture", "stems"),
    [("mix_clean", ["s1", "s2"]), ("mix_both", ["s1", "s2", "noise"]), ("mix_single", ["s1", "noise"])],
)
def test_tasks_of_wham_and_whamr(wham, whamr, mixture, stems):
    dry, anechoic, reverberant = (
        corpus.tracks("tr")[0]
        for corpus in (
            WHAM(wham, mixture=mixture),
            WHAMR(whamr, mixture=mixture, reverberant=False),
            WHAMR(whamr, mixture=mixture),
        )
    )
    for track, suffix in ((dry, ""), (anechoic, "_anechoic"), (reverberant, "_reverb")):
        assert list(track.stems) == stems
        assert track.labels == ("011", "20c")[: len(set(stems) - {"noise"})]
        assert track.mixture.path.parent.name == mixture + suffix
        folders = {name: stem.path.parent.name for name, stem in track.stems.items()}
        assert folders == {name: name if name == "noise" else name + suffix for name in stems}
        assert residual(track) == 0


def test_noise_is_a_stem_that_can_be_taken_away_from_the_talkers(wham):
    mixer = StemMixer(
        WHAM(wham), "tr", sources=["no_noise", "noise"], sample_rate=8000, duration=None, channels=1
    )
    example = mixer.draw(0)
    name = example.name
    read = {
        signal: StemFile(wham / "wav8k/min/tr" / signal / f"{name}.wav").read()[0]
        for signal in ("mix_both", "mix_clean", "noise")
    }
    np.testing.assert_allclose(example.mixture, read["mix_both"], atol=1e-6)
    np.testing.assert_allclose(example.references, [read["mix_clean"], read["noise"]], atol=1e-6)


def test_librimix_by_its_tables_of_another_machine(librimix):
    corpus = LibriMix(librimix)
    assert corpus.splits == ("train-100", "dev", "test")
    assert corpus.disjoint_labels
    first, second = corpus.tracks("train-100")
    assert [first.name, second.name] == LIBRISPEECH_NAMES["train-100"]
    assert [first.labels, second.labels] == [("103", "1235"), ("27", "103")]
    for split in corpus.splits:
        for track in corpus.tracks(split):
            assert list(track.stems) == ["s1", "s2", "noise"]
            assert residual(track) == 0
    (single,) = LibriMix(librimix, mixture="mix_single").tracks("dev")
    assert (list(single.stems), single.labels) == (["s1", "noise"], ("1272",))


def test_librimix_takes_what_its_tables_name_and_paths_of_any_machine(librimix, tmp_path):
    root = shutil.copytree(librimix, tmp_path / "Libri2Mix")
    table = root / "wav8k/min/metadata/mixture_train-100_mix_both.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0], lines[2].replace("/", "\\").replace("\\home", "D:")]))
    (track,) = LibriMix(root).tracks("train-100")
    assert track.name == LIBRISPEECH_NAMES["train-100"][1]
    assert residual(track) == 0


def test_librimix_without_tables_is_what_is_in_its_folders(librimix, tmp_path):
    root = shutil.copytree(librimix, tmp_path / "Libri2Mix")
    tables = LibriMix(root).tracks("train-100")
    shutil.rmtree(root / "wav8k/min/metadata")
    folders = LibriMix(root).tracks("train-100")
    assert [track.name for track in folders] == [track.name for track in tables]
    assert [track.stems for track in folders] == [track.stems for track in tables]


def test_a_table_without_a_column_or_cut_short_is_named(librimix, tmp_path):
    root = shutil.copytree(librimix, tmp_path / "Libri2Mix")
    table = root / "wav8k/min/metadata/mixture_dev_mix_both.csv"
    content = table.read_text()
    table.write_text(content.replace("source_2_path", "second_path"))
    with pytest.raises(AudioError, match=r"mixture_dev_mix_both\.csv has no column source_2_path"):
        LibriMix(root).tracks("dev")
    table.write_text(content[: content.rindex("wav8k") - 40])
    with pytest.raises(AudioError, match=r"mixture_dev_mix_both\.csv ends in the middle of line 2"):
        LibriMix(root).tracks("dev")
    table.write_bytes(b"\xff\xfe\x00broken")
    with pytest.raises(AudioError, match=r"cannot read .*mixture_dev_mix_both\.csv"):
        LibriMix(root).tracks("dev")


def test_a_missing_file_tells_when_it_is_read(wham, tmp_path):
    root = shutil.copytree(wham, tmp_path / "wham")
    name = WSJ0_NAMES["tr"][0]
    (root / "wav8k/min/tr/s2" / f"{name}.wav").unlink()
    (root / "wav8k/min/cv/mix_both" / f"{WSJ0_NAMES['cv'][0]}.wav").unlink()
    corpus = WHAM(root)
    tracks = corpus.tracks("tr")
    assert len(tracks) == 2
    with pytest.raises(AudioError, match=rf"s2/{name}\.wav does not exist"):
        tracks[0].stems["s2"].read()
    (track,) = corpus.tracks("cv")
    with pytest.raises(AudioError, match=r"mix_both/.* does not exist"):
        list(track.mixture_blocks())


def test_talkers_of_another_naming_are_not_known(tmp_path):
    write_corpus(tmp_path / "wav8k/min", {"tr": ["0001", "a_b_c"]}, {"mix": ("s1", "s2")})
    assert [track.labels for track in WSJ0Mix(tmp_path).tracks("tr")] == [(), ()]


@pytest.mark.parametrize("corpus", [WSJ0Mix, WHAM, WHAMR, LibriMix])
def test_another_folder_is_refused(corpus, tmp_path):
    with pytest.raises(UsageError, match=f"is not {corpus.layout}: it has none of wav8k/min, "):
        corpus(tmp_path)
    with pytest.raises(UsageError, match="there is no folder"):
        corpus(tmp_path / "absent")
    (tmp_path / "wav8k/min/tr/s1").mkdir(parents=True)
    with pytest.raises(UsageError, match=f"is not {corpus.layout}: no folder "):
        corpus(tmp_path)


def test_a_split_that_is_not_there_is_named(wsj0_mix):
    with pytest.raises(UsageError, match="wsj0-mix has no split 'train'; it has tr, cv, tt"):
        WSJ0Mix(wsj0_mix / "2speakers").tracks("train")


def test_each_is_recognised(wsj0_mix, wham, whamr, librimix):
    roots = {WSJ0Mix: wsj0_mix / "3speakers", WHAM: wham, WHAMR: whamr, LibriMix: librimix}
    assert {corpus: guess_layout(root) for corpus, root in roots.items()} == {
        corpus: corpus for corpus in roots
    }


def test_a_check_finds_nothing_wrong_and_cv_may_have_the_talkers_of_tr(wsj0_mix, wham, whamr, librimix):
    corpora = [WSJ0Mix(wsj0_mix / "2speakers"), WHAM(wham), WHAMR(whamr), LibriMix(librimix)]
    for corpus in corpora:
        report = check_corpus(corpus)
        assert report.findings == []
        assert [split.name for split in report.splits] == list(corpus.splits)


def test_a_check_finds_talkers_of_librimix_in_two_splits(librimix, tmp_path):
    root = shutil.copytree(librimix, tmp_path / "Libri2Mix")
    shutil.rmtree(root / "wav8k/min/metadata")
    write_mixtures(root / "wav8k/min/test", "103-1240-0001_121-127105-0032", NOISY)
    (finding,) = check_corpus(LibriMix(root)).findings
    assert (finding.kind, finding.split) == ("leak", "test")
    assert "'103'" in finding.message


def test_recipes_can_name_them(whamr):
    config = {
        "class_path": "soloist.datasets.WHAMR",
        "init_args": {"root": str(whamr), "mixture": "mix_single", "reverberant": False, "length": "min"},
    }
    corpus = build_object(config, "a test", WHAMR)
    assert corpus.mixture == "mix_single_anechoic"

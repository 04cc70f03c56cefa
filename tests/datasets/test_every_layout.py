"""Properties of all layouts: a small tree of each is recognised, has no defects, and can be mixed."""

import numpy as np
import pytest
import soundfile

from soloist.datasets import FolderCorpus, check_corpus, find_layout, find_layouts, guess_layout
from soloist.mixing import ClipMixer, StemMixer, TrackMixer
from stem_corpora import FOUR_STEMS, noises, write_multi_stream, write_track

RATE = 8000
WSJ0 = {
    "tr": "011a0101_1.2_20ca010c_-1.2",
    "cv": "011c0205_2e-05_40na0105_-2e-05",
    "tt": "050a0501_1_442o030z_-1",
}
LIBRI = {"train-100": "103-1240-0003_1235-135887-0017", "dev": "1272-128104-0000_2035-147961-0014"}


def _sound(seed):
    return next(iter(noises(("sound",), seconds=0.3, seed=seed).values()))[0]


def _write(path, audio, rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, rate, **({"subtype": "FLOAT"} if path.suffix == ".wav" else {}))


def _generated(folder, names, mixture, signals):
    """Write mixtures with a file of the same name for each signal."""
    for seed, (split, name) in enumerate(names.items()):
        sounds = {signal: _sound(100 * seed + number) for number, signal in enumerate(signals)}
        for signal, audio in {**sounds, mixture: sum(sounds.values())}.items():
            _write(folder / split / signal / f"{name}.wav", audio)


def _clips(root):
    for seed, name in enumerate(("anna", "ben", "clara")):
        _write(root / name / "one.wav", _sound(seed))


def _stems(root):
    for seed, split in enumerate(("train", "valid")):
        write_track(root / split / f"song {seed}", noises(seconds=0.3, seed=seed))


def _pairs(root):
    for seed, name in enumerate(("one", "two")):
        clean, noise = _sound(10 * seed), _sound(10 * seed + 1)
        _write(root / "clean" / f"{name}.wav", clean)
        _write(root / "noisy" / f"{name}.wav", clean + 0.1 * noise)


def _musdb18(root):
    for seed, name in enumerate(("train/A - One", "train/Leaf - Summerghost", "test/B - Two")):
        # Tones, which AAC keeps the waveform of.
        times = np.arange(22050) / 44100
        stems = {
            stem: np.tile(0.2 * np.sin(2 * np.pi * (200 + 150 * pitch + 40 * seed) * times), (2, 1))
            for pitch, stem in enumerate(FOUR_STEMS)
        }
        write_multi_stream(root / f"{name}.stem.mp4", stems)


def _musdb18_hq(root):
    for seed, name in enumerate(("train/A - One", "train/Leaf - Summerghost", "test/B - Two")):
        stems = noises(seconds=0.3, channels=2, seed=seed)
        write_track(root / name, {**stems, "mixture": sum(stems.values())})


def _slakh(root):
    for seed, split in enumerate(("train", "validation", "test")):
        folder = root / split / f"Track0000{seed}"
        _write(folder / "stems/S00.flac", _sound(10 * seed))
        _write(folder / "stems/S01.flac", _sound(10 * seed + 1))
        _write(folder / "mix.flac", _sound(10 * seed) + _sound(10 * seed + 1))
        (folder / "metadata.yaml").write_text("stems: {S00: {inst_class: Piano}, S01: {inst_class: Bass}}")


def _mir1k(root):
    for seed, name in enumerate(("abjones_1_01", "Ani_1_01")):
        _write(root / "Wavfile" / f"{name}.wav", np.stack([_sound(seed), _sound(seed + 10)], axis=1))


def _esc50(root):
    lines = ["filename,fold,target,category,esc10,src_file,take"]
    for fold in range(1, 6):
        for target, category in enumerate(("dog", "rooster")):
            name = f"{fold}-{fold}0{target}-A-{target}.wav"
            _write(root / "audio" / name, _sound(10 * fold + target))
            lines.append(f"{name},{fold},{target},{category},True,{fold}0{target},A")
    (root / "meta").mkdir()
    (root / "meta/esc50.csv").write_text("\n".join(lines) + "\n")


def _fuss(root):
    for seed, (split, count) in enumerate({"train": 2, "validation": 1, "eval": 3}.items()):
        names = ["background0_sound", *(f"foreground{number}_sound" for number in range(count - 1))]
        folder = f"{split}/example00000"
        sounds = {f"{folder}_sources/{name}.wav": _sound(10 * seed + i) for i, name in enumerate(names)}
        files = {f"{folder}.wav": sum(sounds.values()), **sounds}
        for name, audio in files.items():
            _write(root / name, audio)
        (root / f"{split}_example_list.txt").write_text("\t".join(files) + "\n")


TREES = {
    "clips": _clips,
    "esc-50": _esc50,
    "fuss": _fuss,
    "librimix": lambda root: _generated(root / "wav8k/min", LIBRI, "mix_both", ("s1", "s2", "noise")),
    "mir-1k": _mir1k,
    "musdb18": _musdb18,
    "musdb18-hq": _musdb18_hq,
    "pairs": _pairs,
    "slakh2100": _slakh,
    "stems": _stems,
    "synthetic-band": None,
    "synthetic-noises": None,
    "synthetic-talkers": None,
    "wham": lambda root: _generated(root / "wav8k/min", WSJ0, "mix_both", ("s1", "s2", "noise")),
    "whamr": lambda root: _generated(
        root / "wav8k/min", WSJ0, "mix_both_reverb", ("s1_reverb", "s2_reverb", "noise")
    ),
    "wsj0-mix": lambda root: _generated(root / "wav8k/min", WSJ0, "mix", ("s1", "s2")),
}
SMALL = {
    "synthetic-band": {"songs": 1, "seconds": 0.4, "sample_rate": RATE},
    "synthetic-noises": {"clips": 4, "seconds": 0.4, "sample_rate": RATE},
    "synthetic-talkers": {"talkers": 3, "utterances": 1, "seconds": 0.4},
}


@pytest.fixture(params=find_layouts())
def corpus(request, tmp_path):
    """Corpus of each layout."""
    cls, build = find_layout(request.param), TREES[request.param]
    if build is None:
        return cls(**SMALL[request.param])
    build(tmp_path)
    return cls(tmp_path)


def test_it_has_no_flaw_that_a_check_would_tell(corpus):
    report = check_corpus(corpus)
    assert not report.findings
    assert [split.name for split in report.splits] == list(corpus.splits)
    assert all(split.tracks for split in report.splits)
    assert all(split.seconds >= 0.29 for split in report.splits)


def test_it_is_guessed_unless_any_folder_could_be_it(corpus):
    if isinstance(corpus, FolderCorpus) and not corpus.generic:
        assert guess_layout(corpus.root) is type(corpus)


def test_a_file_that_is_lost_or_damaged_is_told(corpus):
    if not isinstance(corpus, FolderCorpus):
        return
    split = corpus.splits[0]
    stem = next(iter(corpus.tracks(split)[0].stems.values()))
    stem.path.write_bytes(stem.path.read_bytes()[:60])
    errors = [finding for finding in check_corpus(corpus).findings if finding.is_error]
    assert [(finding.kind, finding.file, finding.split) for finding in errors] == [
        ("corrupt", str(stem.path), split)
    ]


def test_its_tracks_can_be_mixed(corpus):
    split = corpus.splits[0]
    tracks = corpus.tracks(split)
    shape = {"sample_rate": RATE, "duration": 0.25, "channels": 1}
    names = list(tracks[0].stems)
    if len(names) == 1:
        example = ClipMixer(corpus, split, sources=("a", "b"), **shape).draw(0)
    elif tracks[0].mixture is None:
        example = StemMixer(corpus, split, sources=names, **shape).draw(0)
    else:
        example = TrackMixer(corpus, split, sources=names, **shape).draw(0)
    assert example.mixture.shape == (1, 2000)
    assert np.abs(example.references).max(axis=(1, 2)).min() > 0
    np.testing.assert_allclose(example.references.sum(axis=0), example.mixture, atol=0.05)

"""Small trees laid out like the corpora that the shipped recipes train on, half a second a recording."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import soundfile

from soloist.datasets import synthesize_band
from stem_corpora import noises, write_multi_stream

SECONDS = 0.5

WSJ0 = {
    "tr": ["011a0101_1.2_20ca010c_-1.2", "01ta0101_1.2_20da010c_-1.2"],
    "cv": ["011c0205_2e-05_40na0105_-2e-05"],
    "tt": ["050a0501_1_442o030z_-1"],
}
LIBRISPEECH = {
    "train-360": ["103-1240-0003_1235-135887-0017", "1034-121119-0028_200-126784-0010"],
    "dev": ["1272-128104-0000_2035-147961-0014"],
    "test": ["1089-134686-0000_121-127105-0031"],
}


def write_sound(path: Path, seed: int, rate: int = 8000) -> None:
    """A noise that sounds different for each seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (sound,) = noises(("sound",), seconds=SECONDS * rate / 8000, seed=seed).values()
    soundfile.write(path, sound.T, rate)


def write_talkers(root: Path, names: dict[str, list[str]], mixture: str) -> None:
    """Mixtures of two talkers; the mixture's file is not needed to be their sum here."""
    for split, mixtures in names.items():
        for number, name in enumerate(mixtures):
            for place, signal in enumerate((mixture, "s1", "s2")):
                write_sound(root / "wav8k/min" / split / signal / f"{name}.wav", 10 * number + place)


def write_wsj0_2mix(root: Path) -> None:
    """WSJ0-2mix."""
    write_talkers(root, WSJ0, "mix")


def write_wham(root: Path) -> None:
    """WHAM! without noise."""
    write_talkers(root, WSJ0, "mix_clean")


def write_libri2mix(root: Path) -> None:
    """Libri2Mix without noise and tables."""
    write_talkers(root, LIBRISPEECH, "mix_clean")


def write_esc50(root: Path) -> None:
    """ESC-50: two classes in each fold."""
    rows = ["filename,fold,target,category,esc10,src_file,take"]
    for fold in range(1, 6):
        for target, category in enumerate(("dog", "rooster")):
            name = f"{fold}-{100 * fold + target}-A-{target}.wav"
            write_sound(root / "audio" / name, 10 * fold + target)
            rows.append(f"{name},{fold},{target},{category},True,{100 * fold + target},A")
    (root / "meta").mkdir()
    (root / "meta" / "esc50.csv").write_text("\n".join(rows))


def write_fuss(root: Path) -> None:
    """FUSS: examples of four sounds."""
    for split in ("train", "validation", "eval"):
        lines = []
        for number in range(2):
            example = f"{split}/example{number:05}"
            names = ("background0", "foreground0", "foreground1", "foreground2")
            sounds = [f"{example}_sources/{name}_sound.wav" for name in names]
            files = [f"{example}.wav", *sounds]
            for place, file in enumerate(files):
                write_sound(root / file, 10 * number + place, 16000)
            lines.append("\t".join(files))
        (root / f"{split}_example_list.txt").write_text("\n".join(lines) + "\n")


def write_musdb18(root: Path) -> None:
    """MUSDB18: a song of each split."""
    for seed, name in enumerate(("train/A - One", "train/Leaf - Summerghost", "test/B - Two")):
        write_multi_stream(root / f"{name}.stem.mp4", synthesize_band(SECONDS, seed=seed))


def write_musdb18hq(root: Path) -> None:
    """MUSDB18-HQ: a song of each split."""
    for seed, name in enumerate(("train/A - One", "train/Leaf - Summerghost", "test/B - Two")):
        (root / name).mkdir(parents=True)
        for stem, audio in synthesize_band(SECONDS, seed=seed).items():
            soundfile.write(root / name / f"{stem}.wav", audio.T, 44100)


def write_digits(root: Path) -> None:
    """The Free Spoken Digit Dataset."""
    for place, talker in enumerate(("george", "jackson", "lucas", "nicolas", "theo", "yweweler")):
        for take in (0, 1, 5, 6):
            write_sound(root / "recordings" / f"{take}_{talker}_{take}.wav", 10 * place + take)


def write_read_speech(root: Path) -> None:
    """Utterances of LibriSpeech, one a talker; two of the talkers are held out."""
    for talker in (19, 26, 39, 150):
        write_sound(root / f"{talker}-198-0003.wav", talker, 16000)


def write_esc10(root: Path) -> None:
    """Clips of ESC-10 in a folder for each class."""
    for place, category in enumerate(("dog", "rain")):
        for fold in range(1, 5):
            write_sound(root / category / f"{fold}-1000{fold}-A.wav", 10 * place + fold)


def write_noisy_speech(root: Path) -> None:
    """Utterances of LibriSpeech and clips of ESC-10 in a folder each, for training, validation and tests."""
    write_read_speech(root / "speech")
    write_sound(root / "speech" / "118-198-0003.wav", 118, 16000)
    write_esc10(root / "esc10")
    write_sound(root / "esc10" / "rain" / "1-17367-A.wav", 17)


def write_songs(root: Path) -> None:
    """Songs in a folder each, with four stems."""
    for seed, song in enumerate(("hydrogen", "lithium", "sodium", "potassium", "caesium")):
        (root / song).mkdir(parents=True)
        for stem, audio in synthesize_band(SECONDS, seed=seed).items():
            soundfile.write(root / song / f"{stem}.ogg", audio.T, 44100)


TREES: dict[str, Callable[[Path], None]] = {
    "sudormrf-wham": write_wham,
    "sudormrf-wsj0-2mix": write_wsj0_2mix,
    "conv-tasnet-wsj0-2mix": write_wsj0_2mix,
    "dual-path-rnn-wsj0-2mix": write_wsj0_2mix,
    "tasnet-wsj0-2mix": write_wsj0_2mix,
    "mask-inference-wsj0-2mix": write_wsj0_2mix,
    "deep-clustering-wsj0-2mix": write_wsj0_2mix,
    "chimera-wsj0-2mix": write_wsj0_2mix,
    "sudormrf-libri2mix": write_libri2mix,
    "sudormrf-esc50": write_esc50,
    "sudormrf-fuss": write_fuss,
    "tfc-tdf-musdb18": write_musdb18,
    "tfc-tdf-large-musdb18": write_musdb18,
    "tfc-musdb18": write_musdb18,
    "tdc-musdb18": write_musdb18,
    "tdf-musdb18": write_musdb18,
    "tdc-rnn-musdb18": write_musdb18,
    "spectrogram-net-musdb18": write_musdb18,
    "xumx-slicq-musdb18hq": write_musdb18hq,
    "umx-musdb18hq": write_musdb18hq,
    "htdemucs-musdb18hq": write_musdb18hq,
    "xumx-musdb18hq": write_musdb18hq,
    "mdx23c-musdb18hq": write_musdb18hq,
    "mdxnet-musdb18hq": write_musdb18hq,
    "scnet-musdb18hq": write_musdb18hq,
    "bs-roformer-musdb18hq": write_musdb18hq,
    "mel-roformer-musdb18hq": write_musdb18hq,
    "tiny-sudormrf-digits": write_digits,
    "tiny-mask-inference": write_digits,
    "tiny-deep-clustering": write_digits,
    "tiny-chimera": write_digits,
    "tiny-conv-tasnet": write_digits,
    "tiny-dual-path": write_digits,
    "tiny-tasnet": write_digits,
    "small-sudormrf-speech": write_read_speech,
    "small-crn-denoise": write_noisy_speech,
    "tiny-sudormrf-esc10": write_esc10,
    "tiny-tfc-tdf-songs": write_songs,
}
"""For each shipped recipe that reads a corpus what writes a tree like it."""

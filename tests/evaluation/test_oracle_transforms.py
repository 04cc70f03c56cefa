"""Oracles on transforms that are named: their names, and the figures of the original's script."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from soloist.datasets import find_stem_tracks
from soloist.errors import UsageError
from soloist.evaluation import check_system, use_transform
from soloist.evaluation.systems import OracleName
from soloist.metrics import sdr
from soloist.separators import Oracle
from soloist.transforms import STFT, parse_transform

SLICQ = "slicq:bark:262:32.9"


def test_names_of_oracles():
    assert OracleName.parse("oracle:mpi") == OracleName("mpi")
    assert OracleName.parse(f"oracle:mpi@{SLICQ}") == OracleName("mpi", SLICQ)
    assert check_system(f"oracle:irm1@{SLICQ}") == f"oracle:irm1@{SLICQ}"


@pytest.mark.parametrize("name", ["oracle:mpi@", "oracle:mpi@cqt:3", "oracle:best"])
def test_names_that_mean_nothing_are_refused(name):
    with pytest.raises(UsageError, match=r"there is no (transform|oracle)"):
        check_system(name)


def test_a_transform_is_for_the_oracles_that_name_none():
    assert use_transform(["hpss", "oracle:mpi", "oracle:ibm@stft:512"], SLICQ) == [
        "hpss",
        f"oracle:mpi@{SLICQ}",
        "oracle:ibm@stft:512",
    ]
    with pytest.raises(UsageError, match="a transform is for oracles"):
        use_transform(["hpss"], SLICQ)


@pytest.mark.parametrize(
    ("transform", "key"),
    [
        (parse_transform(SLICQ, 44100), "slicq_bark262_32.9"),
        (parse_transform("slicq:bark:40:100", 44100), "slicq_bark40_100"),
        (STFT(4096, 1024, "rectangular"), "stft4096_1024_rectangular_window_as_in_script"),
        (parse_transform("stft:4096:1024", 44100), "stft4096_1024_hann"),
    ],
)
def test_the_oracle_of_a_real_song_is_that_of_the_original(shared, transform, key):
    pytest.importorskip("av")
    expected = json.loads((shared / "reference/slicq/oracle.json").read_text())[key]
    (track,) = find_stem_tracks(shared / "data/musdb-sample")
    stems = {name: stem.read() for name, stem in track.open().stems.items()}
    references = torch.from_numpy(np.stack([audio for audio, _ in stems.values()]))[None]
    oracle = Oracle("mpi", transform)
    with torch.inference_mode():
        figures = sdr(references, oracle(references.sum(dim=1), references))[0]
    for name, figure in zip(stems, figures.tolist(), strict=True):
        assert figure == pytest.approx(expected[name], abs=0.05)

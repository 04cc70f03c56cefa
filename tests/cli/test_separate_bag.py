"""Bags through the command line: one stem runs only the members that it is made of."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
import torch

from soloist.audio import probe
from soloist.inference import FileJob, FileSettings, StemSelection
from soloist.profiling import count_operations
from soloist.separators import build_separator
from soloist.zoo import save_model

SOURCES = ["drums", "bass", "other", "vocals"]
MEMBER = {
    "class_path": "soloist.separators.SpectralSeparator",
    "init_args": {
        "sources": SOURCES,
        "sample_rate": 8000,
        "channels": 1,
        "normalization": "track",
        "representation": "magnitude",
        "mode": "masking",
        "transform": {"class_path": "soloist.transforms.STFT", "init_args": {"n_fft": 64, "hop_length": 32}},
        "network": {
            "class_path": "soloist.networks.RecurrentNetwork",
            "init_args": {"inputs": 1, "outputs": 4, "num_bins": 33, "hidden_size": 8, "layers": 1},
        },
    },
}
FINE_TUNED = torch.eye(4).tolist()


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    """A model folder of four networks, each of which estimates one stem, as htdemucs_ft does."""
    torch.manual_seed(0)
    config = {
        "class_path": "soloist.separators.CombinedSeparator",
        "init_args": {"members": [MEMBER] * 4, "weights": FINE_TUNED},
    }
    return save_model(build_separator(config, "a bag"), config, {}, tmp_path_factory.mktemp("models") / "bag")


@pytest.fixture(scope="module")
def mono(tmp_path_factory):
    path = tmp_path_factory.mktemp("mono") / "song.wav"
    noise = 0.1 * np.random.default_rng(0).standard_normal(3000) + 0.01
    soundfile.write(path, noise.astype(np.float32), 8000, subtype="FLOAT")
    return path


def stem(folder, name):
    return soundfile.read(folder / "bag" / "song" / f"{name}.wav")[0]


@pytest.mark.parametrize("options", [("--stems", "vocals"), ("--two-stems", "vocals")])
def test_one_stem_runs_one_network_and_is_the_same(soloist, bag, mono, tmp_path, options):
    def separate(folder, *options):
        assert soloist("separate", mono, "-m", bag, "-o", tmp_path / folder, *options).code == 0

    whole = count_operations(lambda: separate("all"))
    one = count_operations(lambda: separate("one", *options))
    assert whole == 4 * one > 0
    np.testing.assert_array_equal(stem(tmp_path / "one", "vocals"), stem(tmp_path / "all", "vocals"))


def test_two_stems_of_four_run_two_networks(soloist, bag, mono, tmp_path):
    def separate(*options):
        assert soloist("separate", mono, "-m", bag, "-o", tmp_path, "--overwrite", *options).code == 0

    whole = count_operations(separate)
    assert 2 * count_operations(lambda: separate("--stems", "drums,vocals", "--residual")) == whole
    # The residual of all estimates is shared out among them.
    assert count_operations(lambda: separate("--stems", "drums", "--consistency", "mixture")) == whole


def test_finished_stems_of_a_bag_are_known_again_with_others(soloist, bag, mono, tmp_path):
    assert soloist("separate", mono, "-m", bag, "-o", tmp_path).code == 0
    result = soloist(
        "separate", mono, "-m", bag, "-o", tmp_path, "--stems", "bass", "--skip-existing", "--json"
    )
    assert json.loads(result.out)["skipped"]


def test_plans_and_dry_runs_of_one_stem_see_one_network(bag, mono):
    job = FileJob(str(bag), FileSettings(selection=StemSelection(("vocals",))))
    separator = job.separator_for(probe(mono))
    assert separator.sources == ("vocals",)
    assert len(separator.parts) == 1


def test_the_python_call_runs_one_network_for_one_stem(bag):
    import soloist

    noise = 0.1 * np.random.default_rng(1).standard_normal(3000).astype(np.float32)
    found = {}

    def separate(*stems):
        found.update(soloist.separate(noise, 8000, model=str(bag), stems=stems))

    whole = count_operations(separate)
    expected = found["other"]
    assert 4 * count_operations(lambda: separate("other")) == whole
    np.testing.assert_array_equal(found["other"], expected)

"""GTCRN, UL-UNAS and DTLN against the recorded outputs of their authors' code, and their files."""

from __future__ import annotations

import pytest
import torch

from reference_vectors import ReferenceVector, assert_near
from soloist import zoo
from soloist.errors import ModelError
from soloist.separators import Denoiser
from soloist.zoo import read_state
from soloist.zoo.importers import recognize

VECTORS = [
    "gtcrn/gtcrn_random",
    "gtcrn/gtcrn_random_batch",
    "gtcrn/gtcrn_published_dns3",
    "gtcrn/gtcrn_published_dns3_stream",
    "ulunas/ulunas_random",
    "ulunas/ulunas_other_table",
    "ulunas/ulunas_published_dns3",
    "dtln/dtln_random",
    "dtln/dtln_published",
]
FILES = {
    "gtcrn": "gtcrn_dns3.tar",
    "gtcrn-stream": "gtcrn_dns3_stream.tar",
    "ulunas": "ulunas_dns3.tar",
    "dtln": "dtln.pth",
}


@pytest.mark.parametrize("name", VECTORS)
def test_meets_the_vector(name, shared):
    vector = ReferenceVector(shared / "reference" / f"{name}.npz")
    if "weights" in vector.config:
        vector.state = read_state(shared / "weights" / vector.config["weights"])
    output = vector.run()
    if "output" in vector.arrays:
        assert_near(output, vector["output"], 1e-5)
    for key, expected in vector.named("output").items():
        assert_near(output[key], expected, 1e-5)


@pytest.mark.parametrize("name", FILES)
def test_the_published_files_are_those_of_the_cards(name, shared, tmp_path, monkeypatch):
    monkeypatch.setenv("SOLOIST_HOME", str(tmp_path))
    folder = zoo.import_checkpoint(shared / "weights" / FILES[name])
    card = zoo.find(name)
    assert folder.name == name
    assert (card.on_disk, card.sample_rate, card.task) == (True, None, "denoise")
    separator = zoo.load(name, sample_rate=44100, channels=2)
    assert isinstance(separator, Denoiser)
    assert (separator.sources, separator.sample_rate, separator.channels) == (card.sources, 44100, 2)
    assert zoo.load(name).sample_rate == 16000


@torch.no_grad()
def test_a_stream_of_the_published_weights_gives_what_the_whole_gives(shared):
    vector = ReferenceVector(shared / "reference" / "gtcrn" / "gtcrn_published_dns3_stream.npz")
    state = read_state(shared / "weights" / vector.config["weights"])
    separator = recognize(state).separator.separator
    spectrum = separator.transform(vector["input"][:, None])
    masks, carried = [], ()
    for frame in separator.represent(spectrum).split(1, dim=-1):
        mask, carried = separator.network.step(frame, carried)
        masks.append(mask)
    estimate = separator.finish(torch.cat(masks, dim=-1), spectrum)
    wave = separator.synthesize(estimate, vector["input"].shape[-1])[:, 0, 0]
    expected = vector["output/wave"]
    assert_near(wave[:, : expected.shape[-1]], expected, 1e-5)


@pytest.mark.parametrize("name", FILES)
def test_weights_that_do_not_fit_are_refused_in_one_line(name, shared):
    state = read_state(shared / "weights" / FILES[name])
    first = next(key for key, value in state.items() if value.ndim > 1 and "erb" not in key)
    with pytest.raises(ModelError, match="the weights do not fit") as caught:
        recognize({**state, first: state[first][..., :1]})
    assert "\n" not in str(caught.value)

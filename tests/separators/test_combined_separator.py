"""A combined separator: weights for each source, members that need not run, chunks of several lengths."""

from __future__ import annotations

import pytest
import torch

from families import make_family
from soloist.config import configuration_of
from soloist.errors import UsageError
from soloist.inference import make_engine
from soloist.separators import Chunking, CombinedSeparator, build_separator, separate_chunked
from soloist.zoo import load, save_model
from toy_separators import Smoother, Swapping

MIXTURE = 0.3 * torch.randn(2, 1, 700, generator=torch.Generator().manual_seed(0))


class Counting(Smoother):
    """A separator that counts its runs."""

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self.calls = 0

    def estimate(self, mixture):
        self.calls += 1
        return super().estimate(mixture)


def bag(*reaches: int, weights=None, kind=Counting, **kwargs) -> CombinedSeparator:
    return CombinedSeparator([kind(reach=reach, **kwargs) for reach in reaches], weights)


def test_estimates_are_averages_with_the_weights_of_each_source():
    weights = [[1, 0], [3, 2], [0, 6]]
    combined = bag(3, 7, 11, weights=weights)
    smooth, rough = zip(*(member.estimate(MIXTURE).unbind(1) for member in combined.parts), strict=True)
    found = combined(MIXTURE)
    torch.testing.assert_close(found[:, 0], (smooth[0] + 3 * smooth[1]) / 4)
    torch.testing.assert_close(found[:, 1], (rough[1] + 3 * rough[2]) / 4)


def test_without_weights_all_count_alike():
    combined = bag(3, 7)
    expected = sum(member.estimate(MIXTURE) for member in combined.parts) / 2
    torch.testing.assert_close(combined(MIXTURE), expected)


def test_a_member_without_a_weight_never_runs():
    combined = bag(3, 7, 11, weights=[[1, 0], [0, 0], [0, 1]])
    combined(MIXTURE)
    assert [member.calls for member in combined.parts] == [1, 0, 1]


@pytest.mark.parametrize("normalization", ["none", "track"])
def test_one_source_is_the_same_from_the_members_that_it_needs(normalization):
    combined = bag(3, 7, weights=[[1, 0], [0, 1]], normalization=normalization, bias=0.1)
    one = combined.only(["rough"])
    assert one.sources == ("rough",)
    mixture = MIXTURE + 0.5
    whole = combined(mixture)
    before = [member.calls for member in combined.parts]
    assert torch.equal(one(mixture), whole[:, 1:])
    assert [member.calls for member in combined.parts] == [before[0], before[1] + 1]


def test_all_sources_are_the_whole():
    combined = bag(3, 7, weights=[[1, 0], [0, 1]])
    assert torch.equal(combined.only(["rough", "smooth"])(MIXTURE), combined(MIXTURE))


def test_members_of_shorter_chunks_cut_those_of_the_others():
    class Long(Counting):
        chunk_length = 500

    long, short = Long(reach=3), Counting(reach=7)
    combined = CombinedSeparator([long, short])
    assert Chunking.of(combined).length == Chunking.of(long).length
    chunked = separate_chunked(combined, MIXTURE[:1], Chunking.of(combined))
    assert short.calls > long.calls > 1
    expected = (long.estimate(MIXTURE[:1]) + short.estimate(MIXTURE[:1])) / 2
    torch.testing.assert_close(chunked, expected, atol=1e-6, rtol=0)
    assert combined.graph is None


def test_a_combination_needs_what_its_members_need():
    combined = CombinedSeparator([Smoother(reach=3, stride=4), Smoother(reach=7, stride=6)])
    assert (combined.receptive_field, combined.lookahead, combined.stride) == (7, 7, 12)
    assert combined.chunk_length == 200
    assert combined.chunk_edges == "signal"
    assert CombinedSeparator([make_family("open-unmix")]).receptive_field is None


def recurrent_bag():
    return CombinedSeparator(
        [make_family("open-unmix"), _scaled(make_family("open-unmix")), make_family("unet-tdc")],
        [[1, 0], [2, 1], [0, 0]],
    )


def test_graphs_run_side_by_side():
    combined, mixture = recurrent_bag(), 0.1 * torch.randn(1, 1, 4000)
    with torch.no_grad():
        expected = combined.estimate(mixture)
        torch.testing.assert_close(combined.run_staged(*combined.stage(mixture)), expected)
    torch.testing.assert_close(make_engine("torch", combined)(mixture), expected)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_engines_run_all_members_at_once(engine):
    pytest.importorskip(engine)
    combined, mixture = recurrent_bag(), 0.1 * torch.randn(1, 1, 4000)
    with torch.no_grad():
        expected = combined.estimate(mixture)
    torch.testing.assert_close(make_engine(engine, combined)(mixture), expected, atol=1e-5, rtol=1e-4)


def _scaled(separator):
    with torch.no_grad():
        for parameter in separator.parameters():
            parameter.mul_(0.7)
    return separator


def test_a_combination_is_a_model_folder_like_any_other(tmp_path):
    config = configuration_of(
        CombinedSeparator, members=[_stft_config(), _stft_config()], weights=[[1.0], [3.0]]
    )
    combined = build_separator(config, "a bag")
    folder = save_model(combined, config, {"name": "bag"}, tmp_path / "bag")
    again = load(folder)
    assert isinstance(again, CombinedSeparator)
    assert again.weights == [[1.0], [3.0]]
    mixture = 0.1 * torch.randn(1, 1, 3000)
    with torch.no_grad():
        assert torch.equal(again(mixture), combined(mixture))


def _stft_config():
    network = {"input_channels": 2, "internal_channels": 2, "num_blocks": 3, "num_bins": 33}
    transform = {"class_path": "soloist.transforms.STFT", "init_args": {"n_fft": 64, "hop_length": 32}}
    block = {"class_path": "soloist.networks.TFC", "init_args": {"layers": 1}}
    return {
        "class_path": "soloist.separators.SpectralSeparator",
        "init_args": {
            "sources": ["vocals"],
            "sample_rate": 8000,
            "channels": 1,
            "transform": transform,
            "network": {"class_path": "soloist.networks.UNet", "init_args": {**network, "block": block}},
        },
    }


@pytest.mark.parametrize(
    ("members", "weights", "message"),
    [
        ([], None, "at least one"),
        ([Smoother(), Smoother(channels=2)], None, "channels"),
        ([Smoother(), Smoother(sample_rate=16000)], None, "sample_rate"),
        ([Smoother(), Smoother(normalization="track")], None, "normalization"),
        ([Smoother(), Swapping()], None, "order"),
        ([Smoother()], [[1, 0], [0, 1]], "rows"),
        ([Smoother()], [[1]], "rows"),
        ([Smoother()], [[1, -1]], "0 or more"),
        ([Smoother()], [[1, float("nan")]], "0 or more"),
        ([Smoother(), Smoother()], [[1, 0], [1, 0]], "no member has a weight for 'rough'"),
    ],
)
def test_members_and_weights_that_do_not_go_together_are_refused(members, weights, message):
    with pytest.raises(UsageError, match=message):
        CombinedSeparator(members, weights)


def test_a_weight_for_a_source_that_a_member_lacks_is_refused():
    with pytest.raises(UsageError, match="'vocals'"):
        CombinedSeparator([Smoother()], [[1, 1]], ["smooth", "vocals"])

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from soloist.errors import UsageError
from soloist.estimation import WienerEM, complex_to_planes, planes_to_complex, with_phase_of
from soloist.networks import TDC, TDCRNN, TFC, TFCTDF, OpenUnmix, SpectralNetwork, UNet
from soloist.separators import Chunking, SpectralSeparator, build_separator, separate_chunked
from soloist.transforms import STFT


class Scale(SpectralNetwork):
    """Gives what it sees, or ones, times a factor for each source."""

    def __init__(self, factors: list[float], ones: bool = False) -> None:
        super().__init__()
        self.factors = factors
        self.ones = ones

    def forward(self, spectrogram):
        base = torch.ones_like(spectrogram) if self.ones else spectrogram
        return torch.cat([factor * base for factor in self.factors], dim=1)


def make(network: SpectralNetwork, **options: object) -> SpectralSeparator:
    options = {"sources": ["vocals", "other"], "sample_rate": 8000, "channels": 2, **options}
    return SpectralSeparator(STFT(64, 32), network, **options).eval().requires_grad_(False)


def unet(block: object, **options: object) -> UNet:
    """A small network whose norms have statistics as if trained."""
    torch.manual_seed(3)
    network = UNet(
        block, **{"num_blocks": 5, "num_bins": 33, "internal_channels": 4, "output_channels": 8, **options}
    )
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 1.5)
    return network


@given(st.integers(1, 3), st.integers(1, 5), st.sampled_from(["parts", "channels"]))
def test_planes_and_back(channels, frames, order):
    coefficients = torch.randn(2, channels, 7, frames, dtype=torch.complex64)
    planes = complex_to_planes(coefficients, order)
    assert planes.shape == (2, 2 * channels, 7, frames)
    last = planes.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    odd = torch.cat([last[:, :1], last], dim=1)[:, 1:]
    for each in (planes, last, odd):
        torch.testing.assert_close(planes_to_complex(each, order), coefficients)


def test_the_order_of_planes():
    left, right = torch.tensor(1 + 2j), torch.tensor(3 + 4j)
    coefficients = torch.stack([left, right]).view(1, 2, 1, 1)
    assert complex_to_planes(coefficients, "parts").flatten().tolist() == [1, 3, 2, 4]
    assert complex_to_planes(coefficients, "channels").flatten().tolist() == [1, 2, 3, 4]


def test_magnitudes_take_the_phase_of_the_mixture_even_where_it_is_silent():
    mixture = torch.tensor([3 + 4j, 0j]).view(1, 1, 2, 1)
    estimate = with_phase_of(torch.full((1, 1, 2, 1), 10.0), mixture)
    torch.testing.assert_close(estimate.flatten(), torch.tensor([6 + 8j, 10 + 0j]))


@pytest.mark.parametrize("representation", ["complex", "magnitude"])
@pytest.mark.parametrize("mode", ["mapping", "masking"])
@pytest.mark.parametrize("plane_order", ["parts", "channels"])
@pytest.mark.parametrize("length", [1, 63, 64, 65, 1000])
def test_sources_come_in_the_order_of_the_network_s_outputs(representation, mode, plane_order, length):
    separator = make(
        Scale([1.0, 0.25], ones=mode == "masking"),
        representation=representation,
        mode=mode,
        plane_order=plane_order,
    )
    mixture = torch.randn(3, 2, length)
    expected = torch.stack([mixture, 0.25 * mixture], dim=1)
    torch.testing.assert_close(separator(mixture), expected, atol=1e-5, rtol=1e-5)


def test_complex_masks_act_on_real_and_imaginary_parts_apart():
    class KeepRealPartOfLeft(SpectralNetwork):
        def forward(self, spectrogram):
            mask = torch.zeros_like(spectrogram)
            mask[:, 0] = 1
            return mask

    separator = make(KeepRealPartOfLeft(), sources=["vocals"], mode="masking", plane_order="channels")
    coefficients = torch.randn(1, 2, 33, 4, dtype=torch.complex64)
    estimate = separator.estimate_coefficients(coefficients)[:, 0]
    torch.testing.assert_close(estimate[:, 0], coefficients[:, 0].real + 0j)
    assert not estimate[:, 1].any()


@given(st.sampled_from(["tfc", "tdc"]), st.integers(1, 12_000), st.integers(0, 3), st.sampled_from([0, 256]))
def test_chunks_with_the_receptive_field_around_them_give_the_whole_track(block, length, extra, overlap):
    network = unet(TFC(1), num_blocks=3) if block == "tfc" else unet(TDC(2), time_levels=[])
    separator = make(network)
    trim = -(-separator.receptive_field // separator.stride) * separator.stride
    step = (8 + extra) * separator.stride
    chunking = Chunking(step + 2 * trim + overlap, overlap, trim, stride=separator.stride)
    mixture = torch.randn(1, 2, length)
    whole = separator(mixture)
    chunked = separate_chunked(separator, mixture, chunking)
    torch.testing.assert_close(chunked, whole, rtol=0, atol=1e-5 * max(1.0, whole.abs().max().item()))


@pytest.mark.parametrize("block", [TFC(1), TDC(2)])
def test_a_change_reaches_no_farther_than_the_receptive_field(block):
    separator = make(unet(block, num_blocks=3))
    field, at = separator.receptive_field, 4000
    mixture = torch.randn(1, 2, 8001)
    changed = mixture.clone()
    changed[..., at] += 100
    moved = ((separator(changed) - separator(mixture)).abs() > 1e-4).any(dim=(0, 1, 2)).nonzero()
    assert 0.3 * field < (moved - at).abs().max() <= field


def test_lengths_follow_from_the_network_and_the_transform():
    separator = make(unet(TFCTDF(2)), chunk_frames=17)
    assert separator.stride == 4 * 32
    assert separator.chunk_length == 16 * 32
    assert separator.transform(torch.zeros(1, 2, separator.chunk_length)).shape[-1] == 17
    assert separator.receptive_field == separator.network.receptive_field * 32 + 64


def test_a_recurrent_network_has_no_receptive_field():
    assert make(unet(TDCRNN(1))).receptive_field is None


@pytest.mark.parametrize("representation", ["complex", "magnitude"])
def test_optimizing_does_not_change_the_estimates(representation):
    inputs = 4 if representation == "complex" else 2
    network = unet(TFCTDF(3), input_channels=inputs, output_channels=2 * inputs)
    separator = make(network, representation=representation, mode="masking")
    mixture = torch.randn(2, 2, 3000)
    expected = separator(mixture)
    estimates = separator.optimize()(mixture)
    torch.testing.assert_close(estimates, expected, rtol=0, atol=1e-5 * expected.abs().max().item())


def test_a_configuration_builds_it():
    config = {
        "class_path": "soloist.separators.SpectralSeparator",
        "init_args": {
            "transform": {
                "class_path": "soloist.transforms.STFT",
                "init_args": {"n_fft": 64, "hop_length": 16},
            },
            "network": {
                "class_path": "soloist.networks.UNet",
                "init_args": {
                    "block": {
                        "class_path": "soloist.networks.TDC",
                        "init_args": {"layers": 2},
                    },
                    "num_blocks": 3,
                    "num_bins": 33,
                    "time_levels": [0],
                },
            },
            "sources": ["vocals"],
            "sample_rate": 8000,
        },
    }
    separator = build_separator(config, "a test")
    assert separator.stride == 32
    assert separator(torch.randn(1, 2, 100)).shape == (1, 1, 2, 100)


def test_a_transform_of_another_size_is_refused():
    with pytest.raises(UsageError, match="17 bins and was given 33"):
        make(unet(TDC(1), num_bins=17))(torch.randn(1, 2, 500))


MASKING = {"representation": "magnitude", "mode": "masking"}


class TestWienerFilter:
    """The magnitudes of the network's estimates go through the filter, whatever the network gave."""

    @pytest.mark.parametrize(
        "options",
        [
            MASKING,
            {"representation": "magnitude", "mode": "mapping"},
            {"mode": "mapping"},
            {"mode": "masking"},
        ],
    )
    def test_estimates_are_what_the_filter_makes_of_their_magnitudes(self, options):
        mixture = torch.randn(2, 2, 1000)
        plain = make(Scale([0.7, 0.2]), **options)
        wiener = WienerEM(2, window=7)
        separator = make(Scale([0.7, 0.2]), wiener=wiener, **options)
        mixed = separator.transform(mixture)
        expected = wiener(mixed, plain.estimate_coefficients(mixed).abs())
        assert not torch.allclose(expected, plain.estimate_coefficients(mixed))
        torch.testing.assert_close(separator.estimate_coefficients(mixed), expected)
        torch.testing.assert_close(separator(mixture), separator.synthesize(expected, 1000))

    @pytest.mark.parametrize("iterations", [0, 1])
    @pytest.mark.parametrize("normalization", ["none", "track"])
    def test_the_residual_is_the_last_source(self, iterations, normalization):
        options = {**MASKING, "normalization": normalization}
        separator = make(Scale([0.3], ones=True), wiener=WienerEM(iterations, residual=True), **options)
        mixture = torch.randn(1, 2, 700)
        estimates = separator(mixture)
        assert estimates.shape == (1, 2, 2, 700)
        torch.testing.assert_close(estimates.sum(dim=1), mixture, rtol=0, atol=1e-3)
        if not iterations and normalization == "none":
            torch.testing.assert_close(estimates[:, 1], 0.7 * mixture, rtol=0, atol=1e-5)
        prediction = separator.predict(mixture)
        assert prediction.coefficients.shape[:3] == (1, 2, 2)
        torch.testing.assert_close(prediction.estimates.sum(dim=1), mixture, rtol=0, atol=1e-4)

    def test_a_loss_sees_what_comes_before_the_filter(self):
        mixture = torch.randn(1, 2, 700)
        plain, separator = (
            make(Scale([0.7, 0.2], ones=True), wiener=wiener, **MASKING) for wiener in (None, WienerEM())
        )
        torch.testing.assert_close(separator.predict(mixture).estimates, plain(mixture))

    def test_it_sees_all_that_it_is_given(self):
        assert make(unet(TFC(1)), wiener=WienerEM()).receptive_field is None
        assert make(unet(TFC(1)), wiener=WienerEM(0, residual=True)).receptive_field is not None

    def test_one_source_alone_is_refused(self):
        with pytest.raises(UsageError, match=r"one source alone cannot be filtered.*residual"):
            make(Scale([1.0]), sources=["vocals"], wiener=WienerEM())


class TestStatistics:
    def test_a_network_that_normalises_begins_with_those_of_the_mixtures(self):
        network = OpenUnmix(2, 2, num_bins=33, num_input_bins=20, hidden_size=4, layers=1)
        separator = make(network, **MASKING)
        pieces = [torch.randn(2, 2, 640), 3 * torch.randn(1, 2, 1280)]
        separator.measure(iter(pieces))
        seen = torch.cat(
            [separator.transform(piece).abs().mean(dim=1).transpose(1, 2).flatten(0, 1) for piece in pieces]
        )[:, :20]
        for encoder in network.encoders:
            torch.testing.assert_close(encoder.whitening.shift[0], -seen.mean(dim=0))
            torch.testing.assert_close(encoder.whitening.scale[0], 1 / seen.std(dim=0, correction=0))

    def test_of_one_that_does_not_nothing_is_read(self):
        pieces = iter([torch.randn(1, 2, 640)])
        make(unet(TFC(1))).measure(pieces)
        assert len(list(pieces)) == 1


def test_a_recurrent_network_with_a_filter_separates_a_stream_in_chunks():
    network = OpenUnmix(2, 2, num_bins=33, num_input_bins=20, hidden_size=4, layers=1)
    separator = make(network, chunk_frames=60, wiener=WienerEM(window=30), **MASKING)
    mixture = torch.randn(1, 2, 20_000)
    chunking = Chunking.of(separator)
    assert (chunking.length, chunking.step) == (59 * 32, 44 * 32)
    chunked = separate_chunked(separator, mixture, chunking)
    whole = separator(mixture)
    assert chunked.shape == whole.shape
    assert (chunked - whole).square().mean() < 0.1 * whole.square().mean()

"""Separators with a learned filterbank: lengths, silence, levels, chunks, configurations."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from soloist.errors import UsageError
from soloist.separators import (
    SUDORMRF_PRESETS,
    Chunking,
    build_separator,
    separate_chunked,
    sudormrf_design,
    sudormrf_preset,
)

SIZES = {"num_filters": 12, "channels": 8, "hidden_channels": 16, "num_blocks": 2, "depth": 3}
VARIANTS = {
    "original": {},
    "improved": {},
    "groupcomm": {"num_groups": 4},
    "causal": {},
    "attentive": {"num_heads": 2, "head_size": 4},
}


def _separator(variant: str, **options):
    torch.manual_seed(0)
    sizes = {**SIZES, **VARIANTS[variant], **options.pop("sizes", {})}
    separator = sudormrf_design(variant, sizes, **options).build().eval()
    with torch.no_grad():
        for parameter in separator.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return separator


@pytest.mark.parametrize("variant", VARIANTS)
@given(samples=st.integers(1, 400), batch=st.integers(1, 2))
def test_any_length_comes_back(variant, samples, batch):
    separator = _separator(variant, kernel_size=17, sources=["a", "b", "c"])
    with torch.no_grad():
        assert separator(torch.randn(batch, 1, samples)).shape == (batch, 3, 1, samples)


@pytest.mark.parametrize("variant", VARIANTS)
def test_silence_stays_silence(variant):
    separator = _separator(variant).optimize()
    mixture = torch.randn(2, 1, 300)
    mixture[1] = 0
    with torch.inference_mode():
        estimates = separator(mixture)
    assert estimates[0].any()
    assert not estimates[1].any()


@pytest.mark.parametrize("variant", ["improved", "groupcomm", "causal", "attentive"])
def test_stereo_is_separated_into_stereo(variant):
    separator = _separator(variant, channels=2, sources=["vocals", "drums", "bass"])
    with torch.no_grad():
        assert separator(torch.randn(1, 2, 333)).shape == (1, 3, 2, 333)


@pytest.mark.parametrize("variant", VARIANTS)
def test_estimates_follow_the_level_of_the_mixture(variant):
    separator, mixture = _separator(variant), torch.randn(1, 1, 480)
    with torch.no_grad():
        assert torch.allclose(separator(0.01 * mixture), 0.01 * separator(mixture), atol=1e-5)


def test_consistent_estimates_add_up_to_the_mixture():
    separator, mixture = _separator("groupcomm"), 3 + torch.randn(2, 1, 500)
    assert separator.consistency == "uniform"
    with torch.no_grad():
        assert torch.allclose(separator(mixture).sum(dim=1), mixture, atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_optimized_estimates_are_the_same(variant):
    separator, mixture = _separator(variant), torch.randn(2, 1, 777)
    expected = separator(mixture).detach()
    with torch.inference_mode():
        estimates = separator.optimize()(mixture)
    assert (estimates - expected).abs().max() < 2e-5 * expected.abs().max()


def test_what_the_original_pads_to_is_too_little_for_some_kernels():
    """lcm(20, 32) = 160 samples are 8 frames of 20 samples, but five resolutions halve them four times."""
    options = {"sizes": {"depth": 5}, "kernel_size": 41}
    theirs, ours = _separator("original", pad_multiple=160, **options), _separator("original", **options)
    with torch.no_grad():
        for samples in (100, 200, 320):
            ours(torch.randn(1, 1, samples))
        theirs(torch.randn(1, 1, 320))
        with pytest.raises(UsageError, match="8 frames cannot be halved 4 times"):
            theirs(torch.randn(1, 1, 100))


@pytest.mark.parametrize("variant", ["improved", "original", "groupcomm", "attentive"])
def test_global_norms_have_no_bound(variant):
    separator = _separator(variant)
    assert separator.receptive_field is None
    assert separator.chunk_length >= 4 * separator.sample_rate


@pytest.fixture(scope="module")
def causal():
    """A causal separator in double precision whose blocks do something."""
    return _separator("causal", sizes={"depth": 2, "num_blocks": 1}).double()


def test_the_receptive_field_holds_what_a_sample_depends_on(causal):
    mixture = torch.randn(1, 1, 1200, dtype=torch.float64)
    reach = causal.receptive_field
    with torch.no_grad():
        before = causal.estimate(mixture)
        mixture[..., 600] += 1
        changed = (causal.estimate(mixture) - before).abs().sum(dim=(0, 1, 2)).nonzero()[:, 0]
    assert 600 - int(changed.min()) <= 10  # half a kernel of look-ahead, by the synthesis
    assert reach - causal.stride < int(changed.max()) - 600 <= reach


def test_chunks_of_a_causal_separator_give_the_whole_track(causal):
    mixture = torch.randn(1, 1, 9000, dtype=torch.float64)
    chunking = Chunking.of(causal, length=5 * causal.receptive_field)
    with torch.no_grad():
        whole = causal.estimate_any_length(mixture)
        glued = separate_chunked(causal, mixture, chunking)
    assert (whole - glued).abs().max() < 1e-9


def test_a_chunk_of_a_published_causal_separator_holds_its_field():
    with torch.device("meta"):
        separator = sudormrf_preset("causal-u16").build()
    assert separator.receptive_field == 25780
    assert separator.chunk_length >= 4 * separator.receptive_field
    assert separator.chunk_length % separator.stride == 0


@pytest.mark.parametrize("preset", SUDORMRF_PRESETS)
def test_a_preset_is_its_configuration(preset):
    design = sudormrf_preset(preset, sources=["a", "b", "c"], sample_rate=16000, kernel_size=41)
    with torch.device("meta"):
        separator, rebuilt = design.build(), build_separator(design.config(), preset)
    shapes = {name: value.shape for name, value in separator.state_dict().items()}
    assert {name: value.shape for name, value in rebuilt.state_dict().items()} == shapes
    assert rebuilt.sources == ("a", "b", "c")
    assert rebuilt.sample_rate == 16000
    assert (rebuilt.mode, rebuilt.consistency) == (separator.mode, separator.consistency)


def test_an_unknown_preset_names_the_known_ones():
    with pytest.raises(UsageError, match="improved-u16"):
        sudormrf_preset("improved-u17")


def test_an_even_kernel_is_refused_where_frames_are_halved():
    with pytest.raises(UsageError, match="must be odd"):
        _separator("improved", kernel_size=20)


def test_parts_that_do_not_fit_are_refused():
    design = sudormrf_design("improved", SIZES)
    design.separator_args["sources"].append("speaker3")
    with pytest.raises(UsageError, match="synthesises 2 channels, but 3 sources"):
        design.build()

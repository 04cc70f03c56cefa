"""2DFT: peaks of the transform are what repeats."""

from __future__ import annotations

import pytest
import torch

from soloist.errors import UsageError
from soloist.separators import FT2D

RATE = 8000


def magnitudes_of(samples: int = 24_000) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(1, 1, 129, samples // 64, generator=generator)


def build(**options) -> FT2D:
    return FT2D(sample_rate=RATE, channels=1, n_fft=256, high_pass=0.0, **options)


@pytest.mark.parametrize("peaks", ["threshold", "prominence"])
def test_a_pulse_train_is_accompaniment_and_a_lone_burst_is_not(peaks):
    magnitudes = torch.full((1, 1, 129, 400), 0.01)
    magnitudes[..., 20:40, ::10] = 1.0
    magnitudes[..., 80:90, 203:206] = 1.0
    background = build(peaks=peaks).background(magnitudes)
    assert background[..., 20:40, ::10].mean() > 2 * background[..., 80:90, 203:206].mean()


def test_the_background_and_foreground_models_use_complementary_weights():
    magnitudes = magnitudes_of()
    transform = torch.fft.fft2(magnitudes)
    weights = build()._weights(transform)
    background = torch.fft.ifft2(transform * weights).abs()
    foreground = torch.fft.ifft2(transform * (1 - weights)).abs()
    torch.testing.assert_close(
        build().background(magnitudes), (background / magnitudes).clamp(max=1), atol=1e-4, rtol=0
    )
    torch.testing.assert_close(
        build(model="foreground").background(magnitudes),
        1 - (foreground / magnitudes).clamp(max=1),
        atol=1e-4,
        rtol=0,
    )


def test_weights_have_the_symmetry_of_a_real_signal_unless_as_released():
    # The transform of real magnitudes is even about its origin, and so should be what is kept of it.
    # Mirrored about the middle column they would be too, were that not one off for an even number of frames.
    transform = torch.fft.fft2(magnitudes_of(24_064).double())

    def asymmetry(weights: torch.Tensor) -> float:
        mirrored = weights.flip(-1, -2).roll((1, 1), dims=(-1, -2))
        return float((weights - mirrored).abs().mean() / weights.mean())

    assert asymmetry(build(peaks="prominence")._weights(transform)) < 0.05
    assert asymmetry(build(peaks="prominence", as_released=True)._weights(transform)) > 0.3


def test_as_released_rescales_the_mask_by_its_largest_value():
    magnitudes = magnitudes_of()
    mask = build(as_released=True, peaks="prominence", neighborhood=(1, 5)).background(magnitudes)
    assert float(mask.max()) == pytest.approx(1, abs=1e-5)


def test_without_a_quadrant_less_is_explained():
    magnitudes = magnitudes_of()
    assert build(quadrants=(0, 2)).background(magnitudes).mean() < build().background(magnitudes).mean()
    assert build(quadrants=()).background(magnitudes).abs().max() == 0


@pytest.mark.parametrize("options", [{"neighborhood": (0, 25)}, {"quadrants": (1, 4)}])
def test_nonsense_is_refused(options):
    with pytest.raises(UsageError):
        FT2D(**options)

"""Visualization of one separation: sounds, masks, embeddings, clustering confidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from soloist.audio import Audio, StemWriter, WriteOptions, resample_audio, to_channels
from soloist.estimation import Confidence, measure_confidence
from soloist.inference import TorchEngine, measure_level, separate_stream
from soloist.inference.outputs import stem_paths
from soloist.losses import Coefficients, Prediction
from soloist.losses.coefficients import analyze_sources, as_blocks, as_vectors
from soloist.metrics import permuted, si_sdr
from soloist.plots import SeparationFigure, draw_separation, save_figure
from soloist.separators import ClusteringSeparator, Separator
from soloist.transforms import Transform

PICTURE = "picture"

PictureFormat = Literal["png", "svg", "pdf"]

LOUD_DB = -40.0
"""Level of the quietest drawn embedding, relative to the loudest coefficient, dB."""

_COLUMNS, _ROWS = 1000, 512


@dataclass(frozen=True)
class Excerpt:
    """An excerpt of a recording, with its true sources if known.

    Attributes:
        name: Name of the excerpt.
        mixture: `(channels, samples)`.
        sample_rate: Hz.
        references: True sources by name, each `(channels, samples)`.
    """

    name: str
    mixture: Audio
    sample_rate: int
    references: Mapping[str, Audio] = field(default_factory=dict)


@dataclass(frozen=True)
class Visualization:
    """A separated excerpt.

    Attributes:
        figure: Sounds, masks and embeddings, as the picture shows them.
        confidence: Clustering confidence; None for other separators.
    """

    figure: SeparationFigure
    confidence: Confidence | None


@torch.inference_mode()
def visualize(separator: Separator, excerpt: Excerpt, *, device: str = "auto") -> Visualization:
    """Separate an excerpt as `soloist separate` does, and collect masks and embeddings.

    Masks and embeddings are those of the whole excerpt at once, so the memory grows with its duration.

    Args:
        separator: A separator of any family.
        excerpt: An excerpt of any rate and number of channels.
        device: Device of the sounds: "auto", "cpu", "cuda", ...
    """
    estimates = _separate(separator, excerpt, device)
    references = _match(separator, excerpt, estimates)
    mixture = _at_model(separator, excerpt.mixture[None], excerpt.sample_rate)[0]
    sources = _at_model(separator, estimates, excerpt.sample_rate)
    prediction = separator.predict(mixture[None])
    embeddings, groups = None, None
    if prediction.embeddings is not None:
        embeddings, groups = loud_embeddings(prediction, sources[None])
    masks, confidence = prediction.masks, None
    if isinstance(separator, ClusteringSeparator):
        shares, confidence = _cluster(separator, prediction)
        masks = masks if separator.inference == "masks" else shares
    figure = SeparationFigure(
        mixture=torch.from_numpy(excerpt.mixture),
        sample_rate=excerpt.sample_rate,
        estimates=_named(separator, torch.from_numpy(estimates)),
        references={name: torch.from_numpy(audio) for name, audio in references.items()},
        masks={} if masks is None else _draw_masks(separator, masks, prediction, sources),
        mask_rate=separator.sample_rate,
        embeddings=embeddings,
        groups=groups,
    )
    return Visualization(figure, confidence)


def write_visualization(
    visualization: Visualization,
    folder: Path,
    *,
    picture: PictureFormat = "png",
    dimensions: Literal[2, 3] = 2,
) -> dict[str, Path]:
    """Write `mixture.wav`, `<source>.wav`, `<source>-reference.wav` if known, and `picture.png`.

    All sounds appear when they are complete, then the picture. Existing files are replaced.

    Args:
        visualization: The sounds and the data of the picture.
        folder: The output folder; made if missing.
        picture: Format of the picture.
        dimensions: Dimensions of the drawn embeddings.

    Returns:
        Files by the name of the signal, and "picture".

    Raises:
        UsageError: The name of a source is no file name.
        AudioError: A file cannot be written.
    """
    separation = visualization.figure
    references = {_reference(name): audio for name, audio in separation.references.items()}
    signals = {"mixture": separation.mixture, **separation.estimates, **references}
    paths = _sound_files(folder, list(signals))
    figure = draw_separation(separation, dimensions=dimensions)
    channels = separation.mixture.shape[0]
    with StemWriter(paths, separation.sample_rate, channels, WriteOptions()) as writer:
        writer.write(torch.stack(list(signals.values())).numpy())
        writer.commit()
    paths[PICTURE] = folder / f"{PICTURE}.{picture}"
    save_figure(figure, paths[PICTURE])
    return paths


def visualization_files(folder: Path, sources: Sequence[str], picture: PictureFormat) -> list[Path]:
    """Files that `write_visualization` may write for a separator of these sources."""
    signals = ["mixture", *sources, *map(_reference, sources)]
    return [*_sound_files(folder, signals).values(), folder / f"{PICTURE}.{picture}"]


def _reference(source: str) -> str:
    return f"{source}-reference"


def _sound_files(folder: Path, signals: Sequence[str]) -> dict[str, Path]:
    extension = WriteOptions().extension
    return stem_paths(folder, "{stem}.{ext}", model="", track="", stems=signals, extension=extension)


def loud_embeddings(prediction: Prediction, sources: Tensor) -> tuple[Tensor, Tensor]:
    """Embeddings of the loud coefficients of a mixture, each with its loudest source.

    Args:
        prediction: Prediction for one mixture.
        sources: True or estimated sources `(1, sources, channels, samples)`.

    Returns:
        Embeddings `(points, dimensions)` and the index of the loudest source `(points,)`, on the CPU.
    """
    assert prediction.embeddings is not None
    assert prediction.analyze is not None
    loudness = as_vectors(analyze_sources(prediction.analyze, sources))[0].abs()
    mixture = as_vectors(analyze_sources(prediction.analyze, prediction.mixture[:, None]))[0, 0].abs()
    embeddings = torch.cat([block[0].flatten(0, -2) for block in as_blocks(prediction.embeddings)])
    loud = mixture >= mixture.max() * 10 ** (LOUD_DB / 20)
    return embeddings[loud].float().cpu(), loudness.argmax(dim=0)[loud].cpu()


def _separate(separator: Separator, excerpt: Excerpt, device: str) -> Audio:
    """Estimates `(sources, channels, samples)`."""
    level = measure_level([excerpt.mixture]) if separator.normalization == "track" else None
    engine = TorchEngine(separator, device)
    pairs = separate_stream(separator, [excerpt.mixture], excerpt.sample_rate, engine=engine, level=level)
    return np.concatenate([estimates for _, estimates in pairs], axis=-1)


def _match(separator: Separator, excerpt: Excerpt, estimates: Audio) -> dict[str, Audio]:
    """References by the names of their estimates; references without an estimate are left out."""
    if separator.ordered:
        return {name: excerpt.references[name] for name in separator.sources if name in excerpt.references}
    if len(excerpt.references) != len(estimates):
        return {}
    references = np.stack(list(excerpt.references.values()))
    order = permuted(si_sdr, torch.from_numpy(references)[None], torch.from_numpy(estimates)[None])[1][0]
    return {separator.sources[place]: audio for place, audio in zip(order.tolist(), references, strict=True)}


def _at_model(separator: Separator, signals: Audio, sample_rate: int) -> Tensor:
    """Convert signals `(signals, channels, samples)` to a separator's rate, channels and minimum length."""
    count, channels = signals.shape[:2]
    folded = rearrange(signals, "n c t -> (n c) t")
    if sample_rate != separator.sample_rate:
        folded = resample_audio(folded, sample_rate, separator.sample_rate)
    fitted = [to_channels(signal, separator.channels) for signal in folded.reshape(count, channels, -1)]
    missing = max(0, separator.minimum_length - folded.shape[-1])
    return F.pad(torch.from_numpy(np.stack(fitted)), (0, missing))


def _cluster(separator: ClusteringSeparator, prediction: Prediction) -> tuple[Tensor, Confidence]:
    """Masks of the clusters `(1, sources, channels, frequency, frames)`, and the confidence."""
    embeddings = prediction.embeddings
    assert isinstance(embeddings, Tensor)
    coefficients, _ = separator.analyze(prediction.mixture)
    points, counted = separator.points(embeddings, coefficients)
    fit = separator.find_clusters(points, counted)
    return separator.share_points(fit, embeddings), measure_confidence(fit, points, counted)


def _draw_masks(
    separator: Separator, masks: Coefficients, prediction: Prediction, estimates: Tensor
) -> dict[str, Tensor]:
    """Mask of each source as a picture `(frequency, columns)`, averaged over channels.

    Args:
        separator: The separator.
        masks: `(1, sources, channels, frequency, ...)`, or blocks of such masks.
        prediction: Prediction with these masks.
        estimates: Estimates `(sources, channels, samples)`, whose order the masks of an unordered separator
            take.
    """
    transform = prediction.analyze
    if not isinstance(transform, Transform):
        return {}
    pictures = _resample_rows(
        transform, _even_columns(transform, masks, estimates.shape[-1]), separator.sample_rate
    )
    if not separator.ordered:
        pictures = pictures[permuted(si_sdr, estimates[None], prediction.estimates)[1][0]]
    return _named(separator, pictures)


def _even_columns(transform: Transform, masks: Coefficients, samples: int) -> Tensor:
    """Masks over the transform's bins in columns of equal duration, `(sources, bins, columns)`."""
    blocks = [block[0] for block in as_blocks(masks)]
    ones = [torch.ones_like(block) for block in blocks]
    whole = isinstance(masks, Tensor)
    # The transform places its coefficients on the time axis.
    shown, most = (transform.spectrogram(part[0] if whole else part, samples) for part in (blocks, ones))
    means = [(mask / one).mean(dim=1) for mask, one in zip(shown, most, strict=True)]
    columns = min(_COLUMNS, max(mean.shape[-1] for mean in means))
    return torch.cat([F.adaptive_avg_pool1d(mean, columns) for mean in means], dim=1)


def _resample_rows(transform: Transform, pictures: Tensor, sample_rate: int) -> Tensor:
    """Pictures `(sources, bins, columns)` with rows at equally spaced frequencies."""
    frequencies = torch.from_numpy(transform.bin_frequencies(sample_rate))
    rows = torch.linspace(0, sample_rate / 2, min(len(frequencies), _ROWS), dtype=frequencies.dtype)
    between = (frequencies[1:] + frequencies[:-1]) / 2
    return pictures[:, torch.searchsorted(between, rows)]


def _named(separator: Separator, signals: Tensor) -> dict[str, Tensor]:
    return dict(zip(separator.sources, signals.cpu(), strict=True))

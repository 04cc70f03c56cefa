"""Analysis and synthesis of one frame at a time, of transforms whose frames overlap."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from soloist.errors import UsageError
from soloist.transforms.framing import Framing
from soloist.transforms.learned_filterbank import LearnedFilterbank
from soloist.transforms.stft import STFT
from soloist.transforms.transform import Transform


class FrameCodec(nn.Module):
    """Analysis of frames of samples, and synthesis of frames that are added where they overlap.

    Analysis frame `t` begins at sample `t * hop_length - lead` of the signal, and synthesised frame `t` at
    sample `t * hop_length - synthesis_lead`.

    Args:
        hop_length: Distance of the frames, samples.
        frame_length: Samples of a frame that is analysed.
        lead: Samples of the first one before the signal.
        synthesis_length: Samples of a frame that is synthesised.
        synthesis_lead: Samples of the first one before the signal.

    Attributes:
        mirrors: True if the signal is mirrored beyond its ends, False for zeros there.
        shortest: Length, samples, to which a shorter signal is extended by zeros.
        weights: Weights `(synthesis_length,)` whose sum the overlapping frames are divided by; None if they
            are not.
    """

    mirrors = False
    shortest = 1
    weights: Tensor | None

    def __init__(
        self, hop_length: int, frame_length: int, lead: int, synthesis_length: int, synthesis_lead: int
    ) -> None:
        super().__init__()
        self.hop_length = hop_length
        self.frame_length, self.lead = frame_length, lead
        self.synthesis_length, self.synthesis_lead = synthesis_length, synthesis_lead
        self.register_buffer("weights", None, persistent=False)

    def count_frames(self, samples: int) -> int:
        """Number of frames of a whole signal, whose length is a multiple of the hop."""
        raise NotImplementedError

    def analyze(self, frames: Tensor) -> Tensor:
        """Features `(batch, planes, features, frames)` of `(batch, channels, frame_length, frames)`."""
        raise NotImplementedError

    def synthesize(self, features: Tensor) -> Tensor:
        """Frames `(batch, outputs, synthesis_length, frames)` of `(batch, planes, features, frames)`."""
        raise NotImplementedError


class STFTFrames(FrameCodec):
    """Frames of a centred `STFT` by products with matrices: exported graphs have no Fourier transform.

    Features are the real parts of all channels, then the imaginary parts.

    Args:
        stft: The transform.
    """

    fourier: Tensor
    inverse_fourier: Tensor

    def __init__(self, stft: STFT) -> None:
        length = stft.n_fft
        super().__init__(stft.hop_length, length, length // 2, length, length // 2)
        self.mirrors = stft.pad_mode == "reflect"
        self.shortest = length
        window = stft.window.double()
        spectra = torch.fft.rfft(torch.eye(length, dtype=torch.float64)).T
        parts = torch.stack([spectra.real, spectra.imag])
        back = torch.linalg.pinv(parts.flatten(0, 1)).view(length, 2, -1) / stft.scale
        self.register_buffer("fourier", (parts * stft.scale * window).float(), persistent=False)
        self.register_buffer("inverse_fourier", (back * window[:, None, None]).float(), persistent=False)
        self.register_buffer("weights", window.square().float(), persistent=False)

    def count_frames(self, samples: int) -> int:
        """Number of frames of a whole signal: one around each multiple of the hop."""
        return samples // self.hop_length + 1

    def analyze(self, frames: Tensor) -> Tensor:
        """Spectra `(batch, 2 * channels, bins, frames)` of `(batch, channels, n_fft, frames)`."""
        return torch.cat([part @ frames for part in self.fourier], dim=1)

    def synthesize(self, features: Tensor) -> Tensor:
        """Windowed frames `(batch, outputs, n_fft, frames)` of `(batch, 2 * outputs, bins, frames)`."""
        real, imaginary = features.chunk(2, dim=1)
        return self.inverse_fourier[:, 0] @ real + self.inverse_fourier[:, 1] @ imaginary


class WaveformFrames(FrameCodec):
    """Frames of a `Framing`, as they are.

    Args:
        framing: The transform.
    """

    def __init__(self, framing: Framing) -> None:
        length, before = framing.frame_length, framing.frame_length - framing.hop_length
        super().__init__(framing.hop_length, length, before, length, before)

    def count_frames(self, samples: int) -> int:
        """Number of frames of a whole signal: all that touch it."""
        return samples // self.hop_length + self.frame_length // self.hop_length - 1

    def analyze(self, frames: Tensor) -> Tensor:
        """Return the frames."""
        return frames

    def synthesize(self, features: Tensor) -> Tensor:
        """Return the frames."""
        return features


class FilterbankFrames(FrameCodec):
    """Frames of a `LearnedFilterbank`.

    Args:
        filterbank: The transform, whose weights it shares.
    """

    def __init__(self, filterbank: LearnedFilterbank) -> None:
        length = filterbank.kernel_size
        lead = length - 1 if filterbank.past is not None else length // 2
        super().__init__(filterbank.hop_length, length, lead, length, length // 2)
        self.filterbank = filterbank

    def count_frames(self, samples: int) -> int:
        """Number of frames of a whole signal: one for each hop."""
        return samples // self.hop_length

    def analyze(self, frames: Tensor) -> Tensor:
        """Features `(batch, 1, filters, frames)` of `(batch, channels, kernel_size, frames)`."""
        return self.filterbank.analyze_frames(frames)

    def synthesize(self, features: Tensor) -> Tensor:
        """Frames `(batch, outputs, kernel_size, frames)` of `(batch, outputs, filters, frames)`."""
        return self.filterbank.synthesize_frames(features)


def has_frames(transform: Transform) -> bool:
    """True for a transform that `frame_codec` has a codec for."""
    if isinstance(transform, STFT):
        return transform.extent == "centred" and transform.n_fft % 2 == 0
    if isinstance(transform, LearnedFilterbank):
        return not transform.even and transform.synthesis.bias is None
    return isinstance(transform, Framing)


def frame_codec(transform: Transform) -> FrameCodec:
    """The codec of a transform that `has_frames`.

    Raises:
        UsageError: The transform has none.
    """
    if has_frames(transform):
        if isinstance(transform, STFT):
            return STFTFrames(transform)
        if isinstance(transform, LearnedFilterbank):
            return FilterbankFrames(transform)
        if isinstance(transform, Framing):
            return WaveformFrames(transform)
    raise UsageError(f"{type(transform).__name__} cannot be run frame by frame")

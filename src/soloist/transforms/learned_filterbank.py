"""Learned filterbank: a strided convolution, and a transposed one for the synthesis."""

from __future__ import annotations

from typing import Literal

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from soloist.errors import UsageError
from soloist.transforms.transform import SpectralTransform


class Filterbank(SpectralTransform):
    """Filterbank from audio to real features, one plane for all channels, and back from those of all sources.

    Any of these works in a `FilterbankSeparator`.

    Attributes:
        num_outputs: Channels of all sources.
        even: True for a filterbank with one frame more than hops.
        minimum_length: Samples of the shortest audio.
    """

    is_complex = False
    exact = False
    num_outputs: int
    even: bool = False
    minimum_length: int = 1

    def forward(self, audio: Tensor) -> Tensor:
        """Analyse audio `(batch, channels, samples)` into features `(batch, 1, filters, frames)`."""
        raise NotImplementedError

    def inverse(self, coefficients: Tensor, length: int) -> Tensor:
        """Synthesise `(batch, outputs, length)` from features `(batch, outputs, filters, frames)`."""
        raise NotImplementedError


class LearnedFilterbank(Filterbank):
    """Analyses audio with learned filters and synthesises sources from estimated features.

    Not exact: the filters are trained together with the network between analysis and synthesis. The features
    are real, one plane for all channels together. Frame `t` is centred on sample `t * hop_length` (or ends
    there, if causal). The synthesis looks half a kernel ahead in either case.

    Args:
        num_filters: Number of filters, often called bases.
        kernel_size: Samples of a filter.
        hop_length: Distance of the frames, samples; at most half a kernel, the default.
        channels: Channels of the audio and of each source.
        num_sources: Number of synthesised sources.
        synthesis: "joint": each output is a sum over the features of all outputs; "separate": over its own
            features only; "shared": over its own features, with the same filters for all outputs.
        activation: Activation of the analysis: none, a ReLU, or a ReLU with a gate ("gated"), a sigmoid of
            other filters of the frame at unit norm [1].
        bias: Give the filters biases, except those of the gate.
        causal: Frames see no sample after their own. The filters of the analysis then reach `kernel_size`
            samples back; as published, they are stored with twice the length, and the second half is masked.

    Raises:
        UsageError: The hop is longer than half a kernel, which loses samples.

    [1] Y. Luo and N. Mesgarani, "TasNet: Time-domain audio separation network for real-time, single-channel
        speech separation", ICASSP 2018. The paper normalises each frame and restores the level after the
        synthesis; for a ReLU and a linear synthesis, normalising the gate alone is equivalent.
    """

    past: Tensor | None

    def __init__(
        self,
        num_filters: int = 512,
        kernel_size: int = 21,
        hop_length: int | None = None,
        channels: int = 1,
        num_sources: int = 2,
        synthesis: Literal["joint", "separate", "shared"] = "joint",
        activation: Literal["identity", "relu", "gated"] = "identity",
        bias: bool = False,
        causal: bool = False,
    ) -> None:
        super().__init__()
        hop_length = kernel_size // 2 if hop_length is None else hop_length
        if not 0 < hop_length <= (kernel_size + 1) // 2:
            raise UsageError(
                f"hop_length {hop_length} must lie in 1..{(kernel_size + 1) // 2}, half the kernel"
            )
        self.num_filters = num_filters
        self.kernel_size = kernel_size
        self.hop_length = hop_length
        self.even = kernel_size % 2 == 0
        self.num_outputs = outputs = num_sources * channels
        taps = 2 * kernel_size - 1 if causal else kernel_size
        self.analysis = nn.Conv1d(channels, num_filters, taps, hop_length, padding=taps // 2, bias=bias)
        self.activation = nn.Identity() if activation == "identity" else nn.ReLU()
        self.gate = None
        if activation == "gated":
            self.gate = nn.Conv1d(channels, num_filters, taps, hop_length, padding=taps // 2, bias=False)
            nn.init.xavier_uniform_(self.gate.weight)
        self.joint = synthesis == "joint"
        groups = outputs if synthesis == "separate" else 1
        synthesised = 1 if synthesis == "shared" else outputs
        self.synthesis = nn.ConvTranspose1d(
            synthesised * num_filters, synthesised, kernel_size, hop_length, groups=groups, bias=bias
        )
        past = (torch.arange(taps) < kernel_size).float() if causal else None
        self.register_buffer("past", past, persistent=False)
        nn.init.xavier_uniform_(self.analysis.weight)
        nn.init.xavier_uniform_(self.synthesis.weight)

    @property
    def num_bins(self) -> int:
        """Number of filters."""
        return self.num_filters

    @property
    def reach(self) -> int:
        """Samples on either side that analysis and synthesis can depend on."""
        return self.kernel_size // 2 + (self.kernel_size // 2 if self.past is None else self.kernel_size - 1)

    @property
    def lookahead(self) -> int:
        """Samples of the future that analysis and synthesis can depend on."""
        return self.kernel_size // 2 * (2 if self.past is None else 1)

    def length_of(self, frames: int) -> int:
        """Longest signal, in samples, with at most `frames` frames."""
        return max(1, self.hop_length * (frames - 1 + self.kernel_size % 2))

    def forward(self, audio: Tensor) -> Tensor:
        """Analyse audio `(batch, channels, samples)` into features `(batch, 1, filters, frames)`."""
        features: Tensor = self.activation(self._analyze(audio, self.analysis))
        return (features if self.gate is None else features * self._gate(audio, self.gate))[:, None]

    def _analyze(self, audio: Tensor, conv: nn.Conv1d) -> Tensor:
        weight = conv.weight if self.past is None else conv.weight * self.past
        return F.conv1d(audio, weight, conv.bias, self.hop_length, int(conv.padding[0]))

    def _gate(self, audio: Tensor, conv: nn.Conv1d) -> Tensor:
        """Gates `(batch, filters, frames)` of audio `(batch, channels, samples)`."""
        ones = conv.weight.new_ones(1, *conv.weight.shape[1:])
        ones = ones if self.past is None else ones * self.past
        power = F.conv1d(audio.square(), ones, None, self.hop_length, int(conv.padding[0]))
        return torch.sigmoid(self._analyze(audio, conv) * torch.rsqrt(power + 1e-8))

    def inverse(self, coefficients: Tensor, length: int) -> Tensor:
        """Synthesise `(batch, outputs, length)` from features `(batch, outputs, filters, frames)`."""
        # As a matrix product and an overlap-add, a transposed convolution is several times faster on a CPU
        # than conv_transpose1d.
        frames, bias = self.synthesize_frames(coefficients), self.synthesis.bias
        audio = overlap_add(frames, self.hop_length)[..., self.kernel_size // 2 :][..., :length]
        return audio if bias is None else audio + bias[:, None]

    def analyze_frames(self, frames: Tensor) -> Tensor:
        """Features `(batch, 1, filters, frames)` of frames `(batch, channels, kernel_size, frames)`."""
        features: Tensor = self.activation(self._project(frames, self.analysis))
        if self.gate is None:
            return features[:, None]
        power = frames.square().sum(dim=(1, 2))[:, None]
        gates = torch.sigmoid(self._project(frames, self.gate) * torch.rsqrt(power + 1e-8))
        return (features * gates)[:, None]

    def _project(self, frames: Tensor, conv: nn.Conv1d) -> Tensor:
        # A causal filter has its taps on the past first.
        features = torch.einsum("b c k t, n c k -> b n t", frames, conv.weight[..., : self.kernel_size])
        return features if conv.bias is None else features + conv.bias[:, None]

    def synthesize_frames(self, coefficients: Tensor) -> Tensor:
        """Frames `(batch, outputs, kernel_size, frames)` of features, without the bias; see `inverse`."""
        weight = self.synthesis.weight
        if self.joint:
            stacked = rearrange(coefficients, "b o n t -> b (o n) t")
            return torch.einsum("b i t, i o k -> b o k t", stacked, weight)
        own = rearrange(weight, "(o n) 1 k -> o n k", n=self.num_filters)
        own = own.expand(self.num_outputs, -1, -1)
        return torch.einsum("b o n t, o n k -> b o k t", coefficients, own)


def overlap_add(frames: Tensor, hop_length: int) -> Tensor:
    """Sum of frames, each `hop_length` samples after the one before.

    Args:
        frames: `(batch, outputs, kernel_size, frames)`.
        hop_length: Distance of the frames, samples.

    Returns:
        `(batch, outputs, samples)`.
    """
    kernel_size = frames.shape[2]
    reach = (frames.shape[-1] - 1) * hop_length + kernel_size
    columns = rearrange(frames, "b o k t -> b (o k) t")
    return F.fold(columns, (1, reach), (1, kernel_size), stride=(1, hop_length))[:, :, 0]

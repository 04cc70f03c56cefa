"""DTLN: masks by LSTMs twice, first on the spectrum of each frame, then on learned features of it.

    frame - spectrum -+- LSTMs - mask - (x) - inverse - features -+- norm - LSTMs - mask - (x) - frame
                      +------------------^                        +-------------------------^

N. L. Westhausen and B. T. Meyer, "Dual-signal transformation LSTM network for real-time noise suppression",
Interspeech 2020.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from soloist.errors import UsageError
from soloist.networks.layers.carry import Carry
from soloist.networks.layers.contracts import MaskNetwork, State

_LEAST_POWER = 1.1920929e-7
"""Least power of a bin whose root is taken."""


class MaskLSTM(nn.Module):
    """Two LSTMs and a mask in [0, 1] for the features of each frame.

    Args:
        features: Features of a frame.
        hidden_size: Features of an LSTM.
    """

    def __init__(self, features: int, hidden_size: int) -> None:
        super().__init__()
        self.first = nn.LSTM(features, hidden_size, batch_first=True)
        self.second = nn.LSTM(hidden_size, hidden_size, batch_first=True)
        self.linear = nn.Linear(hidden_size, features)

    def forward(self, x: Tensor, carry: Carry) -> Tensor:
        """Map the next frames `(batch, frames, features)` of a stream to masks of the same shape."""
        hidden = carry.recur(self.second, carry.recur(self.first, x))
        return torch.sigmoid(self.linear(hidden))


class DTLN(MaskNetwork):
    """Frames of one source, from frames of the waveform of a mixture.

    The frames of the source are added up where they overlap, without a window; see
    `soloist.transforms.Framing`.

    Args:
        frame_length: Samples of a frame, even.
        num_filters: Learned features of a frame.
        hidden_size: Features of an LSTM.

    Raises:
        UsageError: The frame has an odd number of samples.
    """

    fourier: Tensor
    inverse_fourier: Tensor

    def __init__(self, frame_length: int = 512, num_filters: int = 256, hidden_size: int = 128) -> None:
        super().__init__()
        if frame_length % 2:
            raise UsageError(f"frame_length {frame_length} must be even")
        # Products with matrices: exported graphs have no Fourier transform.
        spectra = torch.fft.rfft(torch.eye(frame_length, dtype=torch.float64))
        fourier = torch.cat([spectra.real, spectra.imag], dim=1)
        self.register_buffer("fourier", fourier.float(), persistent=False)
        self.register_buffer("inverse_fourier", torch.linalg.pinv(fourier).float(), persistent=False)
        self.spectral = MaskLSTM(frame_length // 2 + 1, hidden_size)
        self.analysis = nn.Linear(frame_length, num_filters, bias=False)
        self.norm = nn.LayerNorm(num_filters, eps=1e-7)
        self.learned = MaskLSTM(num_filters, hidden_size)
        self.synthesis = nn.Linear(num_filters, frame_length, bias=False)

    @property
    def lookahead(self) -> int:
        """Frames of look-ahead: 0."""
        return 0

    def forward(self, features: Tensor) -> Tensor:
        """Map frames of the mixture `(batch, frame_length, frames)` to `(batch, 1, frame_length, frames)`."""
        return self.step(features)[0]

    def step(self, frames: Tensor, state: State = ()) -> tuple[Tensor, State]:
        """Estimate the source in the next frames; see `Streaming`."""
        carry = Carry(state)
        real, imaginary = (frames.transpose(1, 2) @ self.fourier).chunk(2, dim=-1)
        magnitude = (real.square() + imaginary.square()).clamp(min=_LEAST_POWER).sqrt()
        mask = self.spectral(magnitude, carry)
        masked = torch.cat([real * mask, imaginary * mask], dim=-1) @ self.inverse_fourier
        learned = self.analysis(masked)
        estimate = self.synthesis(learned * self.learned(self.norm(learned), carry))
        return estimate.transpose(1, 2)[:, None], carry.state

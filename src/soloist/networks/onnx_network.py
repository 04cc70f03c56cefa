"""Networks in ONNX files, run by ONNX Runtime."""

from __future__ import annotations

from typing import Any

import torch
from einops import rearrange
from torch import Tensor
from torch.nn.functional import pad

from soloist.errors import ExportError, ModelError, UsageError, one_line
from soloist.networks.layers.contracts import SpectralNetwork
from soloist.resources import OnnxSession, import_extra, is_captured


class OnnxNetwork(SpectralNetwork):
    """Network on spectrograms that an ONNX file holds, which ONNX Runtime computes on the CPU.

    The content of the file is the only weight, a buffer of bytes. It has no parameters, so it is not trained.

    Args:
        size: Bytes of the file.
        num_bins: Frequencies of the spectrogram.
        num_input_bins: Lowest frequencies, which the graph takes and estimates; the others are estimated as
            zero.
        num_muted_bins: Lowest frequencies of those, which the graph is given as zeros.
        frames: Frames of the graph's input; longer spectrograms are run in pieces of so many. None for any
            number.
        gain: Factor of the estimates.

    Raises:
        UsageError: There are more input bins than bins, or not more than muted ones; or ONNX Runtime is not
            installed.
    """

    def __init__(
        self,
        size: int,
        *,
        num_bins: int,
        num_input_bins: int,
        num_muted_bins: int = 0,
        frames: int | None = None,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        if not num_muted_bins < num_input_bins <= num_bins:
            raise UsageError(
                f"num_input_bins {num_input_bins} must exceed num_muted_bins {num_muted_bins}, not num_bins "
                f"{num_bins}"
            )
        import_extra("onnxruntime", "onnxruntime")
        self.num_bins, self.num_input_bins, self.num_muted_bins = num_bins, num_input_bins, num_muted_bins
        self.frames, self.gain = frames, gain
        self.register_buffer("file", torch.zeros(size, dtype=torch.uint8))
        self._sessions: dict[int, OnnxSession] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy takes over: a session belongs to one network."""
        return {**self.__dict__, "_sessions": {}}

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Map `(batch, planes, num_bins, frames)` to the same shape.

        Raises:
            UsageError: The number of bins differs from `num_bins`.
            ModelError: ONNX Runtime does not support the graph.
            ExportError: The network is captured for an export.
        """
        if is_captured():
            raise ExportError("its network is an ONNX file already, which is run as it is")
        bins, frames = spectrogram.shape[-2:]
        if bins != self.num_bins:
            raise UsageError(f"the network is made for {self.num_bins} bins and was given {bins}")
        seen = spectrogram[:, :, self.num_muted_bins : self.num_input_bins]
        seen = pad(seen, (0, -frames % (self.frames or 1), self.num_muted_bins, 0))
        pieces = rearrange(seen, "b p f (n t) -> (b n) p f t", t=self.frames or frames)
        estimates = self._run(pieces.detach().float().cpu()).to(spectrogram) * self.gain
        estimates = rearrange(estimates, "(b n) p f t -> b p f (n t)", b=len(spectrogram))
        return pad(estimates[..., :frames], (0, 0, 0, bins - self.num_input_bins))

    def _run(self, pieces: Tensor) -> Tensor:
        """Output of the graph for pieces `(pieces, planes, frequency, frames)`, all at once or one by one."""
        try:
            session = self._open()
            together = session.shapes[0][0] is None
            outputs = [session([part.numpy()])[0] for part in ([pieces] if together else pieces.split(1))]
        except RuntimeError as error:
            raise ModelError(f"ONNX Runtime cannot run the network: {one_line(error)}") from error
        result = torch.cat([torch.from_numpy(output) for output in outputs])
        if result.shape != pieces.shape:
            raise ModelError(
                f"the network in the ONNX file estimates {tuple(result.shape)} for {tuple(pieces.shape)}: "
                "a spectrogram of the same size is needed"
            )
        return result

    def _open(self) -> OnnxSession:
        """Session for as many threads as PyTorch takes now."""
        threads = torch.get_num_threads()
        if threads not in self._sessions:
            content = self.get_buffer("file").cpu().numpy().tobytes()
            self._sessions = {threads: OnnxSession(content, threads)}
        return self._sessions[threads]

"""What a network between the two halves of a learned filterbank promises."""

from __future__ import annotations

from torch import Tensor, nn


class MaskNetwork(nn.Module):
    """Maps features `(batch, filters, frames)` to `(batch, outputs, filters, frames)`.

    Outputs are the channels of the sources, those of the first source first: masks for the features, or
    the features of the sources themselves.

    Attributes:
        frame_multiple: What the number of frames is to be padded to a multiple of; and the frames by
            which an input may be shifted so that the output only shifts with it.
    """

    frame_multiple: int = 1

    @property
    def receptive_field(self) -> int | None:
        """Frames on either side that an output frame can depend on; None where there is no bound."""
        return None

    @property
    def lookahead(self) -> int | None:
        """Frames of the future that an output frame can depend on; None where there is no bound."""
        return self.receptive_field

    def forward(self, features: Tensor) -> Tensor:
        """Estimate masks for the features, or the sources' features."""
        raise NotImplementedError

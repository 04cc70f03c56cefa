"""Cards of models of the community: names, settings as a second file, no default of doubtful origin."""

from __future__ import annotations

import hashlib
import shutil

import pytest
import yaml

from loopback_server import serving
from soloist import zoo
from soloist.zoo.cards import _SHIPPED, TASKS, Card

SHIPPED = [Card.read(path) for path in sorted(_SHIPPED.glob("*.yaml"))]
COMMUNITY = [card for card in SHIPPED if card.files and card.licence.stated == "not stated"]


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("model_bs_roformer_ep_317_sdr_12.9755.ckpt", "bs-roformer-viperx-317"),
        ("model_mel_band_roformer_ep_3005_sdr_11.4360", "mel-roformer-viperx-3005"),
        ("MelBandRoformer.ckpt", "mel-roformer-kim"),
        ("vocals_mel_band_roformer.ckpt", "mel-roformer-kim"),
        ("MDX23C-8KFFT-InstVoc_HQ", "mdx23c-instvoc-hq"),
        ("UVR-MDX-NET-Inst_HQ_3", "mdx-inst-hq-3"),
        ("UVR-MDX-NET-Inst_HQ_3.onnx", "mdx-inst-hq-3"),
        ("Kim_Vocal_2", "mdx-kim-vocal-2"),
        ("UVR_MDXNET_KARA_2.onnx", "mdx-kara-2"),
        ("Roformer Model: MelBand Roformer | Karaoke by becruily", "mel-karaoke-becruily"),
    ],
)
def test_names_of_uvr_and_its_relatives_are_known(home, alias, name):
    assert zoo.find(alias).name == name


def test_no_name_stands_for_two_models():
    names = [name.casefold() for card in SHIPPED for name in (card.name, *card.aliases)]
    assert sorted(names) == sorted(set(names))


def test_about_forty_and_every_task_has_one():
    assert len(COMMUNITY) >= 40
    assert {card.task for card in COMMUNITY} == set(TASKS) - {"talkers", "sounds"}


@pytest.mark.parametrize("card", COMMUNITY, ids=lambda card: card.name)
def test_what_nobody_licensed_is_no_default(card):
    assert card.default_rank is None
    assert "licen" in card.notes
    assert all(figure.source and figure.measured_by for figure in card.quality)
    trained = {figure.trained_on_test for figure in card.quality if "training" in figure.dataset}
    assert trained <= {None, True}
    assert len(card.weights) == 1
    assert card.system == "MDX-Net" or len(card.files) == 2


@pytest.fixture
def published(home, shared, monkeypatch):
    """Put a card with a checkpoint and its settings on a server; return server and card."""
    monkeypatch.delenv("SOLOIST_OFFLINE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    forms = shared / "reference" / "roformer" / "checkpoint_forms"
    with serving() as server:
        for name in ("plain.ckpt", "config.yaml"):
            server.contents[f"/{name}"] = (forms / name).read_bytes()
        weights = {
            "filename": "plain.ckpt",
            "url": f"{server.root}/plain.ckpt",
            "sha256": hashlib.sha256(server.contents["/plain.ckpt"]).hexdigest(),
        }
        settings = {"filename": "voice.yaml", "url": f"{server.root}/config.yaml"}
        card = {"name": "voice", "system": "BS-RoFormer", "title": "A voice", "sources": []}
        path = home / "models" / "voice" / "card.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(yaml.safe_dump({**card, "files": [weights, settings]}))
        yield server


def test_settings_are_downloaded_with_the_weights(published, home):
    notices = []
    zoo.download("voice", notice=notices.append)
    assert zoo.load("voice").sources == zoo.card_of("voice").sources == ("vocals",)
    assert [file.filename for file in zoo.card_of("voice").files] == ["plain.ckpt", "voice.yaml"]
    assert all(len(file.sha256) == 64 for file in zoo.card_of("voice").files)
    assert "the hash of voice.yaml was not known in full" in notices[0]
    assert list((home / "downloads").iterdir()) == []


def test_a_checkpoint_is_known_by_its_hash_with_any_settings(published, home, shared, tmp_path):
    forms = shared / "reference" / "roformer" / "checkpoint_forms"
    shutil.copy(forms / "plain.ckpt", tmp_path / "renamed.ckpt")
    shutil.copy(forms / "config.yaml", tmp_path / "renamed.yaml")
    assert zoo.import_checkpoint(tmp_path / "renamed.ckpt") == home / "models" / "voice"
    assert zoo.card_of("voice").title == "A voice"
    assert published.asked == []

"""Importer of Demucs: packages, safetensors, and trainings by others."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
import torch
import yaml
from safetensors.torch import save_file

from reference_vectors import ReferenceVector, assert_near
from soloist.errors import ModelError
from soloist.zoo import import_checkpoint, load
from soloist.zoo.importers import recognize
from soloist.zoo.importers.demucs import make_member, segment_of, separator_config

SMALL = {
    "sources": ["low", "high"],
    "samplerate": 8000,
    "segment": Fraction(1, 4),
    "channels": 4,
    "nfft": 256,
    "depth": 2,
    "dconv_comp": 4,
    "t_layers": 2,
    "t_heads": 2,
}


@pytest.fixture(scope="module")
def state():
    """Random weights of the small HTDemucs under the authors' names."""
    generator = torch.Generator().manual_seed(0)
    shapes = {}
    for branch, inputs, axes in (("", 4, 1), ("t", 2, 0)):
        for stage, (before, after) in enumerate([(inputs, 4), (4, 8)]):
            outer = 2 * inputs if stage == 0 else before
            last = (1,) * axes
            for layer, shape in {
                f"encoder.{stage}.conv": (after, before, 8, *last),
                f"encoder.{stage}.rewrite": (2 * after, after, 1, *last),
                f"decoder.{1 - stage}.rewrite": (2 * after, after, 3, *[3] * axes),
                f"decoder.{1 - stage}.conv_tr": (after, outer, 8, *last),
            }.items():
                shapes[f"{branch}{layer}.weight"] = shape
                shapes[f"{branch}{layer}.bias"] = (shape[1] if layer.endswith("tr") else shape[0],)
            for depth in range(2):
                owner, hidden = f"{branch}encoder.{stage}.dconv.layers.{depth}", after // 4
                shapes |= {
                    f"{owner}.0.weight": (hidden, after, 3),
                    f"{owner}.0.bias": (hidden,),
                    f"{owner}.1.weight": (hidden,),
                    f"{owner}.1.bias": (hidden,),
                    f"{owner}.3.weight": (2 * after, hidden, 1),
                    f"{owner}.3.bias": (2 * after,),
                    f"{owner}.4.weight": (2 * after,),
                    f"{owner}.4.bias": (2 * after,),
                    f"{owner}.6.scale": (after,),
                }
    shapes["freq_emb.embedding.weight"] = (32, 4)
    shapes |= {f"crosstransformer.norm_in{t}.{part}": (8,) for t in ("", "_t") for part in ("weight", "bias")}
    for owner in (f"crosstransformer.layers{time}.{index}" for time in ("", "_t") for index in range(2)):
        kind, norms = ("cross", 3) if owner.endswith("1") else ("self", 2)
        shapes |= {
            f"{owner}.{kind}_attn.in_proj_weight": (24, 8),
            f"{owner}.{kind}_attn.in_proj_bias": (24,),
            f"{owner}.{kind}_attn.out_proj.weight": (8, 8),
            f"{owner}.{kind}_attn.out_proj.bias": (8,),
            f"{owner}.linear1.weight": (32, 8),
            f"{owner}.linear1.bias": (32,),
            f"{owner}.linear2.weight": (8, 32),
            f"{owner}.linear2.bias": (8,),
            f"{owner}.gamma_1.scale": (8,),
            f"{owner}.gamma_2.scale": (8,),
        }
        names = [f"norm{number + 1}" for number in range(norms)] + ["norm_out"]
        shapes |= {f"{owner}.{name}.{part}": (8,) for name in names for part in ("weight", "bias")}
    return {name: 0.3 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def separated(state):
    """A mixture, and its estimates by the small HTDemucs."""
    mixture = torch.randn(1, 2, 1500, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return mixture, make_member("HTDemucs", SMALL, state).separator.estimate(mixture)


@pytest.mark.parametrize(
    ("file", "vector"),
    [
        ("5a0e1d2c-133c370d.th", "htdemucs_sample"),
        ("5a0e1d2c.safetensors", "htdemucs_sample"),
        ("7c203f4e-eb8e3489.th", "hdemucs_sample"),
    ],
)
def test_sample_files(file, vector, shared, tmp_path):
    folder = shared / "reference" / "demucs" / "samples"
    expected = ReferenceVector(folder / f"{vector}.npz")
    separator = load(import_checkpoint(folder / file, tmp_path / "model"))
    with torch.no_grad():
        assert_near(separator.estimate(expected["input"]), expected["output"], 1e-5)


def test_metadata_of_safetensors_may_lie_beside_them(state, separated, tmp_path):
    kwargs = {**SMALL, "segment": {"_type": "fraction", "numerator": 1, "denominator": 4}}
    save_file(state, tmp_path / "abc.safetensors")
    (tmp_path / "abc.json").write_text(
        json.dumps({"klass": "demucs.htdemucs.HTDemucs", "kwargs": json.dumps(kwargs)})
    )
    separator = load(import_checkpoint(tmp_path / "abc.safetensors", tmp_path / "model"))
    mixture, expected = separated
    with torch.no_grad():
        assert torch.equal(separator.estimate(mixture), expected)
    assert separator.chunk_length == 2000
    assert separator.normalization == "track"


def test_weights_beside_the_settings_of_a_training(state, separated, tmp_path):
    settings = {
        "training": {"instruments": ["low", "high"], "channels": 2, "samplerate": 8000, "segment": 0.25},
        "htdemucs": {
            key: SMALL[key] for key in ("channels", "nfft", "depth", "dconv_comp", "t_layers", "t_heads")
        },
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    (tmp_path / "other.yaml").write_text("[1, 2")
    torch.save(state, tmp_path / "model.ckpt")
    separator = load(import_checkpoint(tmp_path / "model.ckpt", tmp_path / "model"))
    mixture, padded = separated
    with torch.no_grad():
        estimates = separator.estimate(mixture)
        longest = torch.nn.functional.pad(mixture, (0, 500))
        assert torch.allclose(separator.estimate(longest)[..., :1500], padded, atol=1e-5)
    # Nothing is padded there.
    assert not torch.allclose(estimates, padded, atol=1e-3)
    assert separator.normalization == "none"


def test_weights_without_settings_are_refused(state, tmp_path):
    torch.save(state, tmp_path / "model.ckpt")
    with pytest.raises(ModelError, match="put the YAML file"):
        import_checkpoint(tmp_path / "model.ckpt", tmp_path / "model")


@pytest.mark.parametrize(
    ("klass", "records", "message"),
    [
        ("demucs.other.Net", set(), "is none of demucs.htdemucs.HTDemucs"),
        ("demucs.htdemucs.HTDemucs", {"os.system"}, "names os.system"),
    ],
)
def test_packages_that_are_refused(klass, records, message, state):
    package = {"klass": klass, "kwargs": SMALL}
    with pytest.raises(ModelError, match=message):
        recognize(state, None, package, records=frozenset(records | {"fractions.Fraction"}))


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        ("HTDemucs", {"t_emb": "cape"}, "t_emb cape"),
        ("HTDemucs", {"t_sparse_self_attn": True}, "t_sparse_self_attn True"),
        ("HDemucs", {"hybrid": False}, "hybrid False"),
        ("HDemucs", {"cac": False, "wiener_iters": -1}, "wiener_iters -1"),
        ("Demucs", {"lstm_layers": 2}, "lstm_layers 2"),
        ("Demucs", {"kernel_size": 4}, "kernel_size 4"),
        ("Wave-U-Net", {}, "is none of"),
        ("HTDemucs", {"segment": "long"}, "make no HTDemucs"),
    ],
)
def test_options_that_no_published_model_has_are_refused(network, options, message):
    with pytest.raises(ModelError, match=message) as caught:
        separator_config(network, {"sources": ["a", "b"], **options})
    assert "\n" not in str(caught.value)


def test_weights_that_do_not_fit_are_refused_in_one_line(state):
    with pytest.raises(ModelError, match="HTDemucs of the options") as caught:
        make_member("HTDemucs", {**SMALL, "channels": 8}, state)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [Fraction(39, 5), "39/5", ["39/5"], [39, 5], {"_type": "fraction", "numerator": 39, "denominator": 5}],
)
def test_segments(value):
    assert int(segment_of(value) * 44100) == 343980

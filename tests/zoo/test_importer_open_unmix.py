"""Open-Unmix and X-UMX from files like the published ones, against the same computed step by step."""

import shutil

import pytest
import torch
import yaml

import published_open_unmix as published
from published_open_unmix import STEMS
from soloist import zoo
from soloist.errors import ModelError
from soloist.files import sha256_of
from soloist.networks import open_unmix
from soloist.zoo.importers import recognize

SIZES = {"hidden": 4, "num_bins": 33, "input_bins": 20, "layers": 2}


@pytest.fixture
def files(tmp_path):
    """The files of four sources, named as published."""
    folder = tmp_path / "my-model"
    folder.mkdir()
    paths = []
    for seed, source in enumerate(STEMS):
        path = folder / f"{source}.pth"
        torch.save(published.open_unmix_state(seed=seed, **SIZES), path)
        paths.append(path.rename(folder / f"{source}-{sha256_of(path)[:8]}.pth"))
    return paths


def mixture(samples=2048):
    return 0.5 * torch.randn(2, 2, samples, generator=torch.Generator().manual_seed(3))


def spectrum(audio):
    """Spectrum of the original's code: centred, reflected, no frame beyond the end."""
    window = torch.hann_window(64)
    bins = torch.stft(audio.flatten(0, 1), 64, 16, window=window, center=True, return_complex=True)
    return bins.unflatten(0, audio.shape[:2])


def filtered(mixed, magnitudes):
    """One iteration of the filter, on windows of 300 frames; `(sources, channels, frequency, frames)`."""
    parts = []
    for first in range(0, mixed.shape[-1], 300):
        x = mixed[..., first : first + 300].to(torch.complex128)
        v = magnitudes[..., first : first + 300]
        gain = max(1.0, x.abs().max().item() / 10)
        x = x / gain
        y = torch.polar(v.double(), x.angle().expand(v.shape)) / gain
        power = y.abs().square().mean(dim=1)
        covariance = torch.einsum("scft,sdft->sfcd", y, y.conj()) / (1e-10 + power.sum(-1))[..., None, None]
        total = torch.einsum("sft,sfcd->ftcd", power.to(y.dtype), covariance) + 1e-5 * torch.eye(2)
        gains = torch.einsum("sft,sfcd,ftde->sftce", power.to(y.dtype), covariance, torch.linalg.inv(total))
        parts.append(gain * torch.einsum("sftcd,dft->scft", gains, x))
    return torch.cat(parts, dim=-1)


def separated(audio, masks):
    """Estimates `(batch, sources, channels, samples)` by masks `(sources, channels, frequency, frames)`."""
    items = []
    for mixed in spectrum(audio):
        coefficients = filtered(mixed, masks(mixed.abs()) * mixed.abs()).to(torch.complex64)
        waves = torch.istft(
            coefficients.flatten(0, 1), 64, 16, window=torch.hann_window(64), length=audio.shape[-1]
        )
        items.append(waves.unflatten(0, (-1, 2)))
    return torch.stack(items)


@torch.no_grad()
@pytest.mark.parametrize("samples", [2048, 16 * 400])
def test_the_files_of_four_sources_are_one_separator(home, files, samples):
    separator = zoo.load(zoo.import_checkpoint(files))
    assert separator.sources == STEMS
    assert (separator.sample_rate, separator.channels) == (44100, 2)
    states = [torch.load(path) for path in files]
    expected = separated(
        mixture(samples), lambda seen: torch.stack([published.open_unmix(state, seen) for state in states])
    )
    found = separator(mixture(samples))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * expected.abs().max().item())
    optimized = separator.optimize()(mixture(samples))
    torch.testing.assert_close(optimized, expected, rtol=0, atol=1e-4 * expected.abs().max().item())


@torch.no_grad()
@pytest.mark.parametrize(
    "wrap", [lambda state: state, lambda state: {"state_dict": state, "model_name": "XUMX"}]
)
def test_a_cross_net_is_one_file(home, tmp_path, wrap):
    sources = ("bass", "drums", "lead_vocals")
    torch.save(wrap(published.cross_net_state(sources, **SIZES)), tmp_path / "xumx.pth")
    separator = zoo.load(zoo.import_checkpoint(tmp_path / "xumx.pth"))
    assert separator.sources == sources
    states = [published.open_unmix_state(seed=seed, **SIZES) for seed in range(3)]
    expected = separated(mixture(), lambda seen: published.cross_net(states, seen))
    found = separator(mixture())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * expected.abs().max().item())


@torch.no_grad()
def test_one_source_alone_is_masked(home, files):
    separator = zoo.load(zoo.import_checkpoint(files[1], name="only-drums"))
    assert separator.sources == ("drums",)
    assert separator.wiener is None
    (mixed,) = spectrum(mixture()[:1])
    mask = published.open_unmix(torch.load(files[1]), mixed.abs())
    expected = torch.istft(mask * mixed, 64, 16, window=torch.hann_window(64), length=2048)
    torch.testing.assert_close(separator(mixture()[:1])[0, 0], expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_lstms_that_run_forwards_only():
    """A model that does not depend on the future."""
    states = [published.open_unmix_state(seed=seed, directions=1, **SIZES) for seed in range(2)]
    separator = recognize(
        {
            f"{source}.{name}": value
            for source, state in zip(STEMS, states, strict=False)
            for name, value in state.items()
        }
    ).separator
    assert separator.network.lookahead == 0
    expected = separated(
        mixture(), lambda seen: torch.stack([published.open_unmix(state, seen) for state in states])
    )
    found = separator.eval()(mixture())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * expected.abs().max().item())


def test_a_separator_of_theirs_is_recognised_with_all_of_its_sources():
    state = {
        f"target_models.{source}.{name}": value
        for source in STEMS
        for name, value in published.open_unmix_state(**SIZES).items()
    }
    assert recognize(state).separator.sources == STEMS


@pytest.mark.parametrize(
    ("sizes", "rate", "hop", "channels"),
    [({}, 44100, 1024, 2), ({"num_bins": 513, "input_bins": 513, "channels": 1}, 16000, 512, 1)],
)
def test_rate_and_hop_are_those_of_the_published_windows(sizes, rate, hop, channels):
    separator = recognize(
        {f"speech.{name}": value for name, value in published.open_unmix_state(hidden=2, **sizes).items()}
    ).separator
    assert (separator.sample_rate, separator.channels) == (rate, channels)
    assert separator.transform.hop_length == hop


def test_a_stored_rate_is_taken():
    state = published.open_unmix_state(**SIZES) | {"sample_rate": torch.tensor(8000.0)}
    assert recognize({f"vocals.{name}": value for name, value in state.items()}).separator.sample_rate == 8000


class TestRefusals:
    def test_networks_of_two_models_do_not_become_one(self, home, files):
        torch.save(published.open_unmix_state(**{**SIZES, "hidden": 6}), files[2])
        with pytest.raises(ModelError, match="vocals, drums, bass, other differ in size"):
            zoo.import_checkpoint(files)

    def test_two_files_of_one_source_are_told(self, home, files):
        other = files[0].with_name("vocals.pth")
        shutil.copy(files[1], other)
        with pytest.raises(ModelError, match="two of the files are of one source"):
            zoo.import_checkpoint([files[0], other])

    def test_weights_that_are_missing_are_named(self):
        state = {f"vocals.{name}": value for name, value in published.open_unmix_state(**SIZES).items()}
        del state["vocals.bn2.running_mean"]
        with pytest.raises(ModelError, match="do not fit OpenUnmix"):
            recognize(state)


class TestCardOfSeveralFiles:
    """A card in the models folder, of a model whose files are published one by one."""

    @pytest.fixture
    def publish(self, home, files):
        def write(hashes):
            card = {
                "name": "four",
                "system": "Open-Unmix",
                "title": "Four stems",
                "sources": list(STEMS),
                "files": [
                    {"filename": path.name, "source": source, "sha256": digest}
                    for path, source, digest in zip(files, STEMS, hashes, strict=True)
                ],
            }
            path = home / "models" / "four" / "card.yaml"
            path.parent.mkdir(parents=True)
            path.write_text(yaml.safe_dump(card))

        return write

    @pytest.mark.parametrize("digits", [8, 64])
    def test_files_are_known_by_their_hashes_in_any_order_and_by_any_name(self, publish, files, home, digits):
        publish([sha256_of(path)[:digits] for path in files])
        renamed = [path.rename(path.with_name(f"{index}.pth")) for index, path in enumerate(files)]
        folder = zoo.import_checkpoint(renamed[::-1])
        assert folder == home / "models" / "four"
        assert zoo.load("four").sources == STEMS
        stored = zoo.card_of("four").files
        assert [file.source for file in stored] == list(STEMS)
        assert [file.sha256 for file in stored] == [sha256_of(path) for path in renamed]

    def test_without_hashes_the_name_says_what_they_are(self, publish, files):
        publish([""] * 4)
        zoo.import_checkpoint(files, name="four")
        assert zoo.load("four").sources == STEMS

    def test_fewer_files_are_refused(self, publish, files):
        publish([""] * 4)
        with pytest.raises(ModelError, match=r"four is made of 4 files \(.*\), not of 3"):
            zoo.import_checkpoint(files[:3], name="four")

    def test_other_files_are_refused(self, publish, files):
        publish(["0" * 8] * 4)
        with pytest.raises(ModelError, match="not the published file of four"):
            zoo.import_checkpoint(files, name="four")

    def test_several_files_are_named_by_their_folder(self, home, files):
        assert zoo.import_checkpoint(files).name == "my-model"


def test_the_cards_have_the_parameters_of_the_published_networks(home):
    for name, kind, sizes in [
        ("umx", "OpenUnmix", {}),
        ("umxhq", "OpenUnmix", {}),
        ("umxl", "OpenUnmix", {"hidden_size": 1024}),
        ("umxse", "OpenUnmix", {"channels": 1, "num_bins": 513, "num_input_bins": 513, "hidden_size": 256}),
        ("xumx", "CrossNetOpenUnmix", {}),
    ]:
        card = zoo.find(name)
        with torch.device("meta"):
            network = getattr(open_unmix, kind)(len(card.sources), **sizes)
        assert sum(weight.numel() for weight in network.parameters()) == card.parameters
        if len(card.files) > 1:
            assert tuple(file.source for file in card.files) == card.sources
        assert all(file.sha256[:8] in file.filename for file in card.files)

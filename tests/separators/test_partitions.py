"""Recordings in partitions of frames: chunk by chunk as at once."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from soloist.errors import UsageError
from soloist.estimation import RatioMask, WienerEM
from soloist.inference import StreamSettings, separate_stream
from soloist.networks import SpleeterUNet
from soloist.separators import Chunking, SpectralSeparator, separate_blocks, separate_chunked
from soloist.transforms import STFT


def make(wiener=None, hop=16, partitioned=True, extent="full"):
    torch.manual_seed(0)
    network = SpleeterUNet(num_bins=33, num_input_bins=20, num_frames=8, filters=(3, 4, 5))
    return (
        SpectralSeparator(
            STFT(64, hop, extent=extent),
            network,
            sources=["a", "b"],
            sample_rate=8000,
            representation="magnitude",
            mode="masking",
            chunk_frames=8,
            wiener=wiener,
            partitioned=partitioned,
        )
        .eval()
        .requires_grad_(False)
    )


def noise(samples, channels=2):
    return torch.randn(1, channels, samples, generator=torch.Generator().manual_seed(samples))


@given(
    samples=st.integers(1, 900), length=st.sampled_from([None, 1, 300, 500]), hop=st.sampled_from([16, 32])
)
def test_chunks_of_partitions_give_the_whole_recording(samples, length, hop):
    separator = make(RatioMask(num_bins=20, extension="zeros"), hop)
    mixture = noise(samples)
    chunked = separate_chunked(separator, mixture, Chunking.of(separator, length=length))
    torch.testing.assert_close(chunked, separator(mixture), rtol=0, atol=3e-6)


@given(samples=st.integers(1, 700), block=st.integers(1, 300), batch_size=st.integers(1, 3))
def test_the_reader_s_block_size_changes_no_bit(samples, block, batch_size):
    separator = make()
    chunking, follower = Chunking.of(separator), separator.follow()
    mixture = noise(samples)

    def separate(blocks):
        estimates = separate_blocks(
            lambda chunks: separator.run_staged(*follower.stage(chunks)),
            blocks,
            chunking,
            batch_size=batch_size,
        )
        return torch.cat(list(estimates), dim=-1)

    whole = separate([mixture])
    assert whole.shape == (1, 2, 2, samples)
    assert torch.equal(separate(mixture.split(block, dim=-1)), whole)


@pytest.mark.parametrize("samples", [1, 63, 64, 65, 127, 128, 129, 1000])
def test_chunks_are_counted(samples):
    separator = make()
    chunking = Chunking.of(separator)
    parts = list(separate_blocks(lambda chunk: chunk[:, None], [noise(samples)], chunking))
    # Frames begin every 16 samples, a window before the recording.
    assert len(parts) == chunking.count(samples) == math.ceil((samples + 64) / 16 / 8)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_any_number_of_channels_is_separated_in_a_stream(channels):
    separator, mixture = make(), noise(500, channels)
    blocks = [mixture[0].numpy()[:, :123], mixture[0].numpy()[:, 123:]]
    parts = list(separate_stream(separator, blocks, 8000, settings=StreamSettings()))
    estimates = torch.cat([torch.from_numpy(part) for _, part in parts], dim=-1)
    pairs = {1: [[0, 0]], 3: [[0, 1], [2, 2]], 4: [[0, 1], [2, 3]]}[channels]
    expected = torch.cat([separator(mixture[:, pair])[0] for pair in pairs], dim=1)
    expected = expected[:, :channels] if channels > 1 else expected.mean(dim=1, keepdim=True)
    if channels == 3:
        expected[:, 2] = separator(mixture[:, [2, 2]])[0].mean(dim=1)
    torch.testing.assert_close(estimates, expected, rtol=0, atol=3e-6)


def test_a_filter_of_all_channels_is_applied_to_each_chunk():
    separator = make(WienerEM(1, window=None))
    estimates = separate_chunked(separator, noise(400), Chunking.of(separator))
    assert estimates.isfinite().all()
    # One partition is the whole recording.
    short = noise(8 * 16 - 64)
    torch.testing.assert_close(
        separate_chunked(separator, short, Chunking.of(separator)), separator(short), rtol=0, atol=3e-6
    )


def test_partitions_do_not_overlap():
    with pytest.raises(UsageError, match=r"overlap 0\.25 is not possible: .* partitions of 128 samples"):
        Chunking.of(make(), overlap=0.25)


@pytest.mark.parametrize("options", [{"extent": "centred"}, {"hop": 24}])
def test_partitions_need_frames_on_a_grid(options):
    with pytest.raises(UsageError, match="partitions need an STFT of full extent"):
        make(**options)


def test_shares_need_partitions():
    with pytest.raises(UsageError, match="has no partitions"):
        separate_chunked(make(partitioned=False), noise(400), Chunking.of(make()))

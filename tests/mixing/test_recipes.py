"""Mixers and augmentations in recipes."""

import numpy as np
import pytest
import yaml

from numbered_tracks import write_numbered
from soloist.errors import ConfigError
from soloist.mixing import Mixer
from soloist.training import Recipe

RECIPE = """
separator:
  class_path: soloist.separators.FilterbankSeparator
  init_args: {sources: [vocals, accompaniment], sample_rate: 1000, channels: 2}
seed: 5
loss: {class_path: soloist.losses.SISDR}
data:
  train:
    class_path: soloist.mixing.PriorMixer
    init_args:
      priors: [3, 1]
      mixers:
      - class_path: soloist.mixing.StemMixer
        init_args:
          corpus: {class_path: soloist.datasets.StemFolders}
          split: all
          duration: 0.1
          coherence: 0.5
          balance: duration
          augmentations:
          - {class_path: soloist.mixing.Gain, init_args: {decibels: [-6, 6]}}
          - {class_path: soloist.mixing.Gain, init_args: {seed: 6, p: 0.5}}
          - {class_path: soloist.mixing.ChannelSwap}
          - {class_path: soloist.mixing.TimeShift, init_args: {seconds: 0.01}}
          - {class_path: soloist.mixing.PitchTempo, init_args: {semitones: [-1, 1]}}
          - {class_path: soloist.mixing.BandLimit, init_args: {upper: [100, 400]}}
      - class_path: soloist.mixing.TrackMixer
        init_args:
          corpus: {class_path: soloist.datasets.StemFolders}
          split: all
          duration: 0.1
"""


def build(folder, text=RECIPE):
    write_numbered(folder, (300, 400))
    values = yaml.safe_load(text)
    values["name"] = "test"
    values["data"]["root"] = str(folder)
    recipe = Recipe.parse(values, "the test")
    return recipe.build(recipe.data.train, Mixer)


def test_a_recipe_says_all_about_a_mixer_and_parts_inherit_from_it(tmp_path):
    mixer = build(tmp_path)
    assert (mixer.sources, mixer.sample_rate, mixer.channels) == (("vocals", "accompaniment"), 1000, 2)
    stems, tracks = mixer.mixers
    assert [part.seed for part in stems.augmentations] == [5, 6, 5, 5, 5, 5]
    assert (mixer.seed, stems.seed, tracks.seed) == (5, 5, 5)
    assert stems.augmentations[0].decibels == (-6, 6)
    example = mixer.draw(0)
    assert example.mixture.shape == (2, 100)
    assert np.isfinite(example.mixture).all()


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("decibels:", "decibel:", "did you mean 'decibels'"),
        ("balance: duration", "balance: loudness", "balance"),
        (
            "soloist.mixing.Gain, init_args: {dec",
            "soloist.mixing.Gian, init_args: {dec",
            "did you mean soloist.mixing.Gain",
        ),
    ],
)
def test_what_a_recipe_gets_wrong_is_told_with_the_right_name(tmp_path, right, wrong, message):
    with pytest.raises(ConfigError, match=message):
        build(tmp_path, RECIPE.replace(right, wrong))

"""Talkers of the Wall Street Journal corpus: WSJ0-2mix and -3mix; WHAM! (with noise); WHAMR! (in rooms).

J. R. Hershey, Z. Chen, J. Le Roux and S. Watanabe, "Deep clustering: discriminative embeddings for
segmentation and separation", ICASSP 2016.
G. Wichern et al., "WHAM!: extending speech separation to noisy environments", Interspeech 2019.
M. Maciejewski, G. Wichern, E. McQuinn and J. Le Roux, "WHAMR!: noisy and reverberant single-channel speech
separation", ICASSP 2020.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

from soloist.datasets.layouts.talker_mixtures import Length, MixtureKind, TalkerMixtures

# Utterance and level in dB of each talker; the first three characters of an utterance are the talker.
_UTTERANCE = re.compile(r"([0-9a-z]{3})[0-9a-z]{5}_[-+.e\d]+(?:_|$)")


class _WSJ0(TalkerMixtures):
    """Splits and names of all of these corpora.

    By definition of the corpora, `cv` has the talkers of `tr`, and `tt` has others.
    """

    folders: ClassVar[tuple[str, ...]] = ("tr", "cv", "tt")

    def speakers(self, name: str) -> tuple[str, ...]:
        """Talkers of a mixture `<utterance 1>_<level>_<utterance 2>_<level>`."""
        return tuple(_UTTERANCE.findall(name))


class WSJ0Mix(_WSJ0):
    """WSJ0-2mix and -3mix: `wav8k/min/{tr,cv,tt}/{mix,s1,s2,s3}`.

    Args:
        root: Folder `2speakers` or `3speakers`, which holds `wav8k` or `wav16k`.
        sample_rate: Sample rate in Hz; None for 8000 if it exists, else 16000.
        length: Lengths of the mixtures; None for `min` if it exists, else `max`.

    Raises:
        UsageError: There is no such folder, or not with this rate and these lengths.
    """

    layout: ClassVar[str] = "wsj0-mix"

    def __init__(
        self, root: str | Path, *, sample_rate: int | None = None, length: Length | None = None
    ) -> None:
        super().__init__(root, sample_rate=sample_rate, length=length)
        self._use("mix", {talker: talker for talker in self._talkers()})


class WHAM(_WSJ0):
    """WHAM!: `wav8k/min/{tr,cv,tt}/{mix_clean,mix_both,mix_single,s1,s2,noise}`.

    The noise is a stem too. To enhance both talkers together, use the sources `no_noise` and `noise`.

    Args:
        root: Folder that holds `wav8k` or `wav16k`.
        mixture: `mix_clean` to separate two talkers, `mix_both` to separate them in noise, `mix_single` to
            enhance one. None for the first existing one of `mix_both`, `mix_clean` and `mix_single`.
        sample_rate: Sample rate in Hz; None for 8000 if it exists, else 16000.
        length: Lengths of the mixtures; None for `min` if it exists, else `max`.

    Raises:
        UsageError: There is no such folder, or not with this mixture, rate and these lengths.
    """

    layout: ClassVar[str] = "wham"

    def __init__(
        self,
        root: str | Path,
        *,
        mixture: MixtureKind | None = None,
        sample_rate: int | None = None,
        length: Length | None = None,
    ) -> None:
        super().__init__(root, sample_rate=sample_rate, length=length)
        self._take(mixture)


class WHAMR(_WSJ0):
    """WHAMR!: like WHAM!, with `_anechoic` or `_reverb` after the names of all signals but the noise.

    Args:
        root: Folder that holds `wav8k` or `wav16k`.
        mixture: Kind of mixture; see `WHAM`.
        reverberant: True for talkers in rooms, in the mixture and in the stems.
        sample_rate: Sample rate in Hz; None for 8000 if it exists, else 16000.
        length: Lengths of the mixtures; None for `min` if it exists, else `max`.

    Raises:
        UsageError: There is no such folder, or not with this mixture, rate and these lengths.
    """

    layout: ClassVar[str] = "whamr"

    def __init__(
        self,
        root: str | Path,
        *,
        mixture: MixtureKind | None = None,
        reverberant: bool = True,
        sample_rate: int | None = None,
        length: Length | None = None,
    ) -> None:
        super().__init__(root, sample_rate=sample_rate, length=length)
        self._take(mixture, "_reverb" if reverberant else "_anechoic")

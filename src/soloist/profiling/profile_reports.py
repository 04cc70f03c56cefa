"""The files that a profile is written to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from soloist.errors import UsageError
from soloist.files import Staging
from soloist.profiling.profile_runs import Profile
from soloist.profiling.profile_tables import write_costs_csv, write_json, write_markdown
from soloist.profiling.quality_against_cost import Rating, compare
from soloist.resources import describe_machine, import_extra


@dataclass(frozen=True)
class ReportPaths:
    """What is written where; None for what is not wanted.

    Attributes:
        csv: A row for each model and case.
        json: Everything, and what it was measured on.
        markdown: The tables, and what they were measured on.
        plot: The picture of quality against costs.

    Raises:
        UsageError: Two are one file, the picture has another format than pictures are written in, or
            Matplotlib is missing.
    """

    csv: Path | None = None
    json: Path | None = None
    markdown: Path | None = None
    plot: Path | None = None

    def __post_init__(self) -> None:
        wanted = [path for path in (self.csv, self.json, self.markdown, self.plot) if path is not None]
        for path in wanted:
            if wanted.count(path) > 1:
                raise UsageError(f"{path} cannot be two reports: give each a file of its own")
        if self.plot is not None:
            import_extra("matplotlib", "plot")
            from soloist.plots import picture_format

            picture_format(self.plot)


class ProfileReports:
    """Writes the tables of profiles.

    Entered before anything is measured, it says at once which file cannot be written, the picture included,
    which others draw. Files appear when all of them are complete.

    Args:
        paths: What is written where.
    """

    def __init__(self, paths: ReportPaths) -> None:
        self._paths = paths
        self._staging = Staging()

    def __enter__(self) -> ProfileReports:
        try:
            self._csv, self._json, self._markdown = (
                None if path is None else self._staging.target(path)
                for path in (self._paths.csv, self._paths.json, self._paths.markdown)
            )
            if self._paths.plot is not None:
                _try_to_write(self._paths.plot)
        except BaseException:
            self._staging.discard()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._staging.discard()

    def write(
        self,
        profiles: Sequence[Profile],
        failures: Mapping[str, Sequence[str]],
        threads: int | None,
        rating: Rating,
    ) -> None:
        """Write the tables that were asked for.

        Args:
            profiles: What was measured.
            failures: What was not, by the names of models.
            threads: Processor threads that were asked for.
            rating: The quality that was given.
        """
        devices = {measured.case.device: None for profile in profiles for measured in profile.measured}
        machine = describe_machine(next(iter(devices), "cpu"), threads)
        if self._csv is not None:
            write_costs_csv(self._csv, profiles, rating)
        if self._json is not None:
            write_json(self._json, profiles, machine, failures, rating)
        if self._markdown is not None:
            write_markdown(self._markdown, profiles, machine, rating)
        self._staging.promote()


def _try_to_write(path: Path) -> None:
    """Make a file beside the path, and take it away again with the folders that it needed."""
    staging = Staging()
    try:
        staging.scratch(path)
    finally:
        staging.discard()


def draw_profiles(profiles: Sequence[Profile], rating: Rating, path: Path) -> list[str]:
    """Draw the quality of models against their costs.

    Args:
        profiles: What was measured.
        rating: Quality in place of that of their cards.
        path: The picture.

    Returns:
        The names of the models that are not in it, because nothing comparable is known of them.

    Raises:
        UsageError: Nothing is known of any.
        OSError: The picture cannot be written.
    """
    from soloist.plots import Candidate, draw_pareto, save_figure

    compared = compare(profiles, rating)
    if not compared.models:
        raise UsageError(f"{path}: no model's quality is known: give it by --quality NAME=VALUE")
    candidates = [Candidate(name, *figures) for name, figures in compared.models.items()]
    resources = list(candidates[0].costs)
    title = "; ".join(filter(None, [compared.material, f"costs of {compared.case}"]))
    save_figure(draw_pareto(candidates, resources, quality=compared.measure, title=title), path)
    return list(compared.left_out)

"""Files of profiles."""

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
    """Paths of reports; None for reports that are not wanted.

    Attributes:
        csv: File with a row for each model and case.
        json: File with all figures and the machine.
        markdown: File with the tables and the machine.
        plot: Picture of quality against costs.

    Raises:
        UsageError: Two paths are one file, the picture has an unknown format, or Matplotlib is missing.
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
    """Writer of the tables of profiles.

    The context is entered before anything is measured, and refuses paths that cannot be written, with that of
    the picture, which `draw_profiles` draws. Files appear when all of them are complete.

    Args:
        paths: Paths of the reports.
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
        """Write the requested tables.

        Args:
            profiles: Profiles of the models.
            failures: Error messages, by the names of models.
            threads: Requested number of processor threads.
            rating: Stated quality.
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
    """Make a file beside a path, and remove it again with the folders that it needed."""
    staging = Staging()
    try:
        staging.scratch(path)
    finally:
        staging.discard()


def draw_profiles(profiles: Sequence[Profile], rating: Rating, path: Path) -> list[str]:
    """Draw the quality of models against their costs.

    Args:
        profiles: Profiles of the models.
        rating: Stated quality, which replaces that of the cards.
        path: Path of the picture.

    Returns:
        Names of the models that are left out for lack of comparable quality.

    Raises:
        UsageError: No model has a known quality.
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

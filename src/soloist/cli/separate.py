"""`soloist separate`: stems of recordings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from soloist.cli.console import loading
from soloist.cli.names import complete_chain, complete_model
from soloist.cli.options import HOW, EngineOption, PrecisionOption, refuse_options, split_names
from soloist.cli.separate_values import (
    BitDepth,
    Format,
    Task,
    check_inputs,
    choose_model,
    choose_task,
    is_library,
    make_write_options,
    parse_audio_track,
)
from soloist.errors import UsageError

_WHAT, _OUTPUT, _REPORT = "What", "Output", "Report"
_OF_A_REPLAY = {"inputs", "output", "replay", "row"}


def separate(
    context: typer.Context,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT...",
            help="Files, folders (recursive), globs, lists (.csv, .jsonl, .parquet), s3:// and such, "
            "or - for standard input.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            "-n",
            help=(
                "Name (see: soloist models) or a model folder; an ensemble: A,B,C, median:A,B (or max, min) "
                "or its YAML file; default: the best on disk, else a download."
            ),
            autocompletion=complete_model,
            rich_help_panel=_WHAT,
        ),
    ] = None,
    chain: Annotated[
        str | None,
        typer.Option(
            help="Models one after the other: band, drums, karaoke, podcast, or a YAML file.",
            metavar="NAME|FILE",
            autocompletion=complete_chain,
            rich_help_panel=_WHAT,
        ),
    ] = None,
    task: Annotated[
        Task | None,
        typer.Option(
            help="Take the best model on disk for: stems, talkers or denoise.",
            metavar="TASK",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    talkers: Annotated[
        int | None,
        typer.Option(help="Number of talkers; same as --task talkers.", min=1, rich_help_panel=_WHAT),
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(
            help="Level of the noise that a denoiser keeps, in dB, such as -20; default: none.",
            metavar="DB",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    stems: Annotated[
        str | None,
        typer.Option(help="Only these stems, such as vocals,drums.", rich_help_panel=_WHAT),
    ] = None,
    two_stems: Annotated[
        str | None,
        typer.Option(help="One stem, and everything else as no_STEM.", metavar="STEM", rich_help_panel=_WHAT),
    ] = None,
    without: Annotated[
        str | None,
        typer.Option(
            help="One file of all but these stems, by the cheapest model that knows them (or -m, --chain).",
            metavar="STEM,...",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    residual: Annotated[
        bool,
        typer.Option("--residual", help="Also write the rest that is in no stem.", rich_help_panel=_WHAT),
    ] = False,
    consistency: Annotated[
        Literal["none", "mixture"],
        typer.Option(
            help="none, or mixture: make the stems add up to the mixture.",
            metavar="METHOD",
            rich_help_panel=_WHAT,
        ),
    ] = "none",
    audio_track: Annotated[
        str | None,
        typer.Option(
            help="Audio track of a film that has several: its number from 1, or its language, such as eng.",
            metavar="N|LANG",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    start: Annotated[float, typer.Option(help="Begin here, in s.", rich_help_panel=_WHAT)] = 0.0,
    duration: Annotated[
        float | None, typer.Option(help="Separate no more than this, in s.", rich_help_panel=_WHAT)
    ] = None,
    chunk: Annotated[
        float | None,
        typer.Option(
            "--chunk",
            "--segment",
            help="Length of a chunk in s; default: the model's best.",
            rich_help_panel=HOW,
        ),
    ] = None,
    overlap: Annotated[
        float | None,
        typer.Option(
            help="Part of a chunk shared with the next, 0 to 0.5 (imported: 0.95); default: the best.",
            rich_help_panel=HOW,
        ),
    ] = None,
    shifts: Annotated[
        int, typer.Option(help="Passes with shifted chunks, which are averaged.", rich_help_panel=HOW)
    ] = 1,
    shift_seed: Annotated[
        int | None,
        typer.Option(help="Seed of random shifts; default: evenly spaced ones.", min=0, rich_help_panel=HOW),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(help="Chunks separated at once; default: 1, or that of tune.", rich_help_panel=HOW),
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            "--device",
            "-d",
            help="auto, cpu, cuda, cuda:1, mps; several, as cuda:0,cuda:1, share the files out.",
            rich_help_panel=HOW,
        ),
    ] = "auto",
    engine: EngineOption = "auto",
    precision: PrecisionOption = "auto",
    threads: Annotated[
        int | None, typer.Option(help="Processor threads; default: all.", min=1, rich_help_panel=HOW)
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            help="Worker processes for a library; keeps a manifest, and skips what is finished.",
            min=1,
            rich_help_panel=HOW,
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Run a library on Ray: auto, local or ray://HOST:PORT; --jobs: actors, else one a device.",
            metavar="CLUSTER",
            rich_help_panel=HOW,
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the stems.", rich_help_panel=_OUTPUT)
    ] = Path("separated"),
    template: Annotated[
        str | None,
        typer.Option(
            "--template",
            "--filename",
            help="Path below the folder, with {model}, {track}, {stem} and {ext}.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    format_: Annotated[
        Format | None,
        typer.Option(
            "--format",
            "-f",
            help="wav, flac, mp3, ogg, opus, m4a, or stem: one .stem.mp4; default: wav.",
            metavar="FORMAT",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    mp3: Annotated[
        bool, typer.Option("--mp3", help="Same as --format mp3.", rich_help_panel=_OUTPUT)
    ] = False,
    flac: Annotated[
        bool, typer.Option("--flac", help="Same as --format flac.", rich_help_panel=_OUTPUT)
    ] = False,
    bit_depth: Annotated[
        BitDepth | None,
        typer.Option(
            help="16, 24 or 32 bits of WAV (32: float) and FLAC; default: 32 for WAV, 24 for FLAC.",
            metavar="BITS",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    int24: Annotated[
        bool, typer.Option("--int24", help="Same as --bit-depth 24.", rich_help_panel=_OUTPUT)
    ] = False,
    float32: Annotated[
        bool, typer.Option("--float32", help="Same as --bit-depth 32.", rich_help_panel=_OUTPUT)
    ] = False,
    bitrate: Annotated[
        int | None, typer.Option(help="kbit/s of MP3, Ogg, Opus, M4A and stem.", rich_help_panel=_OUTPUT)
    ] = None,
    sample_rate: Annotated[
        int | None,
        typer.Option(
            help="Hz of the stems; default: the input's (Opus: 48000).",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    clip: Annotated[
        Literal["rescale", "clamp", "none"],
        typer.Option(
            help="Integer and lossy output that is too loud: rescale (one gain for all stems), clamp, none.",
            metavar="METHOD",
            rich_help_panel=_OUTPUT,
        ),
    ] = "rescale",
    page: Annotated[
        bool,
        typer.Option(
            "--page", help="Also write mixer.html: a page to mix the stems.", rich_help_panel=_OUTPUT
        ),
    ] = False,
    skip_existing: Annotated[
        bool | None,
        typer.Option(
            "--skip-existing/--overwrite",
            help="Skip finished tracks, or replace stems of another recording too; default: neither.",
            show_default=False,
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    keep_going: Annotated[
        bool,
        typer.Option(
            "--keep-going",
            help="Separate what there is of a truncated file; the exit code is still 1.",
            rich_help_panel=_WHAT,
        ),
    ] = False,
    stdin_format: Annotated[
        Literal["auto", "u8", "s16", "s24", "s32", "f32", "f64"],
        typer.Option(
            help="auto: a file of any format; u8, s16, s24, s32, f32, f64: raw samples, little-endian.",
            metavar="FORMAT",
            rich_help_panel=_WHAT,
        ),
    ] = "auto",
    stdin_rate: Annotated[int, typer.Option(help="Hz of raw standard input.", rich_help_panel=_WHAT)] = 44100,
    stdin_channels: Annotated[
        int, typer.Option(help="Channels of raw standard input.", rich_help_panel=_WHAT)
    ] = 2,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print files, time and memory, and stop.", rich_help_panel=_REPORT),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="One line of JSON a file on standard output.", rich_help_panel=_REPORT),
    ] = False,
    replay: Annotated[
        Path | None,
        typer.Option(
            help="Separate a row of this manifest again.", metavar="MANIFEST", rich_help_panel=_REPORT
        ),
    ] = None,
    row: Annotated[
        int | None, typer.Option(help="Number of the row.", min=1, rich_help_panel=_REPORT)
    ] = None,
    list_models: Annotated[
        bool, typer.Option("--list-models", help="Same as: soloist models.", rich_help_panel=_REPORT)
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Only errors.", rich_help_panel=_REPORT)
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print more.", rich_help_panel=_REPORT)
    ] = False,
) -> None:
    """Separate recordings into stems.

    The stems have the sample rate, channel count and length of the recording (Opus is always 48 kHz, MP3 and
    M4A the next rate that they can hold), and memory does not grow with its length. The files are
    separated/MODEL/TRACK/STEM.wav, unless options say otherwise.

    `soloist separate song.mp3`

    `soloist separate --two-stems vocals --format flac album/`

    `soloist separate --without drums,bass album/`
    """
    if list_models:
        from soloist.cli.models import app

        app([], standalone_mode=False)
        return
    if replay is not None:
        names = {parameter.name or "" for parameter in context.command.params}
        refuse_options(context, names - _OF_A_REPLAY, "is that of the row with --replay")
        _replay(replay, row, inputs, output)
        return
    if not inputs:
        raise UsageError("name at least one file, folder or glob to separate, or - for standard input")
    if quiet and verbose:
        raise UsageError("--quiet and --verbose exclude each other")
    if without is not None and (stems or two_stems or residual):
        raise UsageError("--without writes one file: leave out --stems, --two-stems and --residual")
    model, choice = choose_model(
        model, chain, None if without is None else split_names(without), fetch=not dry_run
    )
    if page and format_ == "stem":
        raise UsageError("--page mixes stems that are files of their own: choose another --format")
    task = choose_task(task, talkers, model)
    library = is_library(inputs, jobs, cluster, device)
    if not library:
        check_inputs(inputs, output)
    with loading(quiet=quiet):
        from soloist.audio import RawFormat
        from soloist.cli.console_batch import ConsoleBatch
        from soloist.inference import FileSettings, StemSelection, StreamSettings
    settings = FileSettings(
        folder=output,
        template=template,
        start=start,
        duration=duration,
        sample_rate=sample_rate,
        selection=StemSelection(split_names(stems), two_stems, residual, consistency, split_names(without)),
        stream=StreamSettings(chunk, overlap, shifts, batch_size, shift_seed),
        write=make_write_options(format_, mp3, flac, bit_depth, int24, float32, bitrate, clip),
        device=device,
        engine=engine,
        precision=precision,
        audio_track=parse_audio_track(audio_track),
        skip_existing=skip_existing is True or (library and skip_existing is None),
        overwrite=skip_existing is False,
        keep_going=keep_going,
        strength=strength,
    )
    raw = None if stdin_format == "auto" else RawFormat(stdin_rate, stdin_channels, stdin_format)
    make: Callable[..., ConsoleBatch] = ConsoleBatch
    if library:
        from soloist.cli.console_library import ConsoleLibrary

        make = partial(ConsoleLibrary, jobs=jobs, cluster=cluster)
    batch = make(
        settings,
        model=model,
        choice=choice,
        page=page,
        task=task,
        talkers=talkers,
        may_fetch=not dry_run,
        threads=threads,
        as_json=as_json,
        quiet=quiet,
        verbose=verbose,
    )
    if not (batch.plan(inputs, raw) if dry_run else batch.run(inputs, raw)):
        raise typer.Exit(1)


def _replay(manifest: Path, row: int | None, inputs: Sequence[str] | None, output: Path) -> None:
    if row is None or inputs:
        raise UsageError(
            "--replay MANIFEST --row N takes the recording and the options from the row: no inputs"
        )
    with loading():
        from soloist.cli.console_library import replay_row
    replay_row(manifest, row, output)

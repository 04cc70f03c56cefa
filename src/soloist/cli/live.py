"""`soloist live`: separation without delay, of sound cards and pipes."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from soloist.cli.console import PrintedTable, loading, print_table, say
from soloist.cli.names import check_model
from soloist.cli.options import HOW, DeviceOption, EngineOption, PrecisionOption, QuietOption
from soloist.errors import UsageError

if TYPE_CHECKING:
    from soloist.audio import RawFormat, StemWriter
    from soloist.inference import StemStream
    from soloist.live.pipes import LiveInput, LiveOutput

_SOUND = "Sound"
_PIPE = "-"
_USUAL_RATE = 48000
SampleFormat = Literal["u8", "s16", "s24", "s32", "f32", "f64", "s16le", "s24le", "s32le", "f32le", "f64le"]


def live(
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            "-n",
            help="Name (see: soloist models) or a model folder; default: the best denoiser on disk.",
        ),
    ] = None,
    input_: Annotated[
        str | None,
        typer.Option(
            "--input",
            "-i",
            help="Sound card (number or name), - for raw samples of standard input, or a file.",
            metavar="DEVICE|-|FILE",
            rich_help_panel=_SOUND,
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            help="Sound card, or - for standard output; default: the usual card; with -o none.",
            metavar="DEVICE|-",
            rich_help_panel=_SOUND,
        ),
    ] = None,
    gain: Annotated[
        str | None,
        typer.Option(
            help="Stems to hear and their levels in dB, such as speech,noise=-20; default: the first stem.",
            metavar="STEM=DB,...",
            rich_help_panel=_SOUND,
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", "-o", help="Write all stems as files here.", rich_help_panel=_SOUND),
    ] = None,
    two_stems: Annotated[
        str | None,
        typer.Option(help="One stem, and everything else as no_STEM.", metavar="STEM"),
    ] = None,
    latency: Annotated[
        float | None,
        typer.Option(
            help="Most ms from input to output; default: 40 or what the model needs; 1000 in chunks.",
            metavar="MS",
            rich_help_panel=HOW,
        ),
    ] = None,
    rate: Annotated[
        int | None,
        typer.Option(
            help="Hz of pipes and cards; default: the card's, 48000 for pipes.", rich_help_panel=_SOUND
        ),
    ] = None,
    channels: Annotated[
        int, typer.Option(help="Channels of pipes and cards.", min=1, rich_help_panel=_SOUND)
    ] = 1,
    format_: Annotated[
        SampleFormat,
        typer.Option(
            "--format",
            "-f",
            help="Samples of pipes, little-endian: u8, s16, s24, s32, f32, f64.",
            metavar="FORMAT",
            rich_help_panel=_SOUND,
        ),
    ] = "s16",
    device: DeviceOption = "auto",
    engine: EngineOption = "auto",
    precision: PrecisionOption = "auto",
    devices: Annotated[bool, typer.Option("--devices", help="List the sound cards, and stop.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Separate what comes in while it comes: from a microphone, or as part of a pipe.

    A line on standard error shows levels, load and dropped blocks. Ctrl-C ends it.

    `soloist live -m gtcrn --output 3 -o session`

    `ffmpeg -i URL -f s16le -ar 48000 -ac 1 - | soloist live --input - --output - | aplay -f S16_LE -r 48000`
    """
    if devices:
        _list_devices()
        return
    _check(model, input_, rate, latency)
    with loading(quiet=quiet):
        from soloist.audio import RawFormat
        from soloist.inference.loaded_models import find_model
        from soloist.zoo import choose_for_task
    raw = RawFormat(rate or _USUAL_RATE, channels, format_.removesuffix("le"))  # type: ignore[arg-type]
    name = str(find_model(model or choose_for_task("denoise", notice=say).name))
    with ExitStack() as stack:
        source = _open_input(input_, rate, channels, raw)
        stack.callback(source.close)
        with loading(quiet=quiet):
            stream = _begin(name, source, two_stems, latency, device, engine, precision)
        stack.callback(stream.close)
        levels = parse_levels(gain, stream.stems)
        files = None if folder is None else stack.enter_context(_open_files(folder, stream))
        sink = _open_output(output, source, raw, files)
        stack.callback(sink.close)
        _run(name, stream, levels, files, source, sink, quiet=quiet)


def _check(model: str | None, input_: str | None, rate: int | None, latency: float | None) -> None:
    """Refuse wrong values before slow imports."""
    if model is not None:
        check_model(model)
    if rate is not None and not 1000 <= rate <= 768_000:
        raise UsageError(f"--rate {rate} Hz must lie in 1000..768000")
    if latency is not None and not 0 < latency < math.inf:
        raise UsageError(f"--latency {latency:g} must be a time in ms above 0")
    if input_ == _PIPE and sys.stdin is not None and sys.stdin.isatty():
        raise UsageError("--input - takes raw samples from a pipe, and standard input is a terminal")


def parse_levels(gain: str | None, stems: Sequence[str]) -> dict[str, float]:
    """Stems to hear and their levels in dB: `speech,noise=-20`; the first stem without any.

    Raises:
        UsageError: A level is no number, or there is no such stem.
    """
    levels: dict[str, float] = {}
    for part in filter(None, (gain or stems[0]).split(",")):
        name, _, level = (piece.strip() for piece in part.partition("="))
        if name not in stems:
            raise UsageError(f"--gain: the model has no stem {name!r}; it has {', '.join(stems)}")
        try:
            levels[name] = float(level or 0)
        except ValueError:
            levels[name] = math.nan
        if not levels[name] < 100:
            raise UsageError(f"--gain {part}: {level!r} is no level in dB below 100, such as -20 or -inf")
    return levels


def _list_devices() -> None:
    from soloist.live import list_devices

    rows = [
        [str(each.index), each.name, str(each.inputs), str(each.outputs), str(each.sample_rate)]
        for each in list_devices()
    ]
    if not rows:
        say("there is no sound card; pipes (-) work without one")
        return
    headings = ["number", "name", "inputs", "outputs", "Hz"]
    print_table(PrintedTable(headings, rows, numbers=("inputs", "outputs", "Hz")))


def _open_input(given: str | None, rate: int | None, channels: int, raw: RawFormat) -> LiveInput:
    from soloist.live.devices import DeviceInput, find_sound_device
    from soloist.live.pipes import FileInput, PipeInput

    if given == _PIPE:
        return PipeInput(sys.stdin.fileno(), raw)
    if given is not None and (Path(given).is_file() or Path(given).suffix):
        return FileInput(Path(given))
    device = find_sound_device(given, "input")
    return DeviceInput(device, rate or device.sample_rate, channels)


def _open_output(
    given: str | None, source: LiveInput, raw: RawFormat, files: StemWriter | None
) -> LiveOutput:
    from dataclasses import replace

    from soloist.live.devices import DeviceOutput, find_sound_device
    from soloist.live.pipes import NoOutput, PipeOutput

    if given is None and files is not None:
        return NoOutput()
    if given == _PIPE:
        if sys.stdout.isatty():
            raise UsageError("--output - gives raw samples to a pipe, and standard output is a terminal")
        sample = replace(raw, sample_rate=source.sample_rate, channels=source.channels)
        return PipeOutput(sys.stdout.fileno(), sample)
    return DeviceOutput(find_sound_device(given, "output"), source.sample_rate, source.channels)


def _begin(
    name: str,
    source: LiveInput,
    two_stems: str | None,
    latency: float | None,
    device: str,
    engine: str,
    precision: str,
) -> StemStream:
    from soloist.inference.push_stream import stream

    def begin(seconds: float | None) -> StemStream:
        return stream(
            name,
            source.sample_rate,
            source.channels,
            two_stems=two_stems,
            latency=seconds,
            device=device,
            engine=engine,
            precision=precision,
        )

    if latency is not None:
        return begin(latency / 1000)
    begun = begin(None)
    if begun.frame_by_frame:
        return begun
    begun.close()
    try:
        # The best chunks of most models last for several seconds.
        return begin(1.0)
    except UsageError:
        return begin(None)


def _open_files(folder: Path, stream: StemStream) -> StemWriter:
    """Open a file for each stem.

    Raises:
        UsageError: One of them is there.
    """
    from soloist.audio import StemWriter, WriteOptions
    from soloist.inference.outputs import stem_paths

    paths = stem_paths(folder, "{stem}.wav", model="", track="", stems=stream.stems, extension="wav")
    for path in paths.values():
        if path.exists():
            raise UsageError(f"{path} is there: choose another folder with -o")
    return StemWriter(paths, stream.sample_rate, stream.channels, WriteOptions())


def _run(
    name: str,
    stream: StemStream,
    levels: dict[str, float],
    files: StemWriter | None,
    source: LiveInput,
    sink: LiveOutput,
    *,
    quiet: bool,
) -> None:
    from soloist.cli.live_meter import LiveMeter
    from soloist.live import LiveSession

    meter = LiveMeter(quiet=quiet)
    session = LiveSession(stream, levels, files, meter.show)
    mode = "frame by frame" if stream.frame_by_frame else "in chunks"
    heard = ", ".join(f"{stem} {level:+g} dB" if level else stem for stem, level in levels.items())
    if not quiet:
        say(
            f"{Path(name).name}, {mode}: {heard} of {source.channels} x {source.sample_rate} Hz, "
            f"{session.delay} samples ({1000 * session.delay / source.sample_rate:.1f} ms) behind"
        )
    try:
        with meter:
            session.run(source, sink)
    except BrokenPipeError:
        say(f"standard output was closed by its reader after {meter.told(session)}")
        raise
    if not quiet:
        say(meter.told(session))

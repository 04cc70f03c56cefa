"""Content of `README.md` beside an exported file: the steps to use it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from textwrap import fill
from typing import Any

_NORMALIZED = (
    "Bring the {what} to zero mean and unit deviation: take the mean of its channels; of that, the mean m "
    "and the standard deviation d (n - 1 in the denominator) plus 1e-8; give (mixture - m) / d. Scale the "
    "estimates back: estimates * d + m / {count}."
)
_SEEN = {
    "complex": "the real and the imaginary parts, as planes in the order of `plane_order`: with `parts` the "
    "real ones of all channels and then the imaginary ones, with `channels` both of the first channel and "
    "then both of the second",
    "magnitude": "the magnitudes, a plane for each channel",
    "decibels": "20 log10 of the magnitudes, but of no less than 1e-4, a plane for each channel",
}
_FROM_MEMBERS = (
    "The file holds several networks side by side, the `members` in model.json: give each the inputs that it "
    "takes alone, in this order, and make its estimates of its outputs; then average the estimates of each "
    "source by the `weights`."
)

_FROM_SPECTROGRAM = (
    "Make estimates of the output as `separator` in model.json says (mode, masks, filter), and synthesise."
)
_TO_BLOCKS = (
    "Analyse it by the `transform` in model.json; give the magnitudes of each block below the bandwidth."
)
_FROM_BLOCKS = "Multiply the blocks with their masks, filter if `wiener_iterations` says so, and synthesise."
_RUN = {
    "ONNX": "session = onnxruntime.InferenceSession('model.onnx')\noutputs = session.run(None, {inputs})",
    "OpenVINO IR": "model = openvino.Core().compile_model('model.xml', 'CPU')\noutputs = model({inputs})",
    "TorchScript": "model = torch.jit.load('model.pt')\nestimates = model(mixture)",
    "torch.export": "model = torch.export.load('model.pt2').module()\nestimates = model(mixture)",
}


def readme(stated: Mapping[str, Any]) -> str:
    """Write the steps to use an export.

    Args:
        stated: Content of `model.json`.
    """
    paragraphs = [f"# {stated['name']}: {stated['format']}", _wrap(stated["title"])]
    paragraphs += ["| | name | axes | shape |\n|---|---|---|---|\n" + "\n".join(_rows(stated))]
    steps = [step for step in _steps(stated) if step]
    paragraphs += [_wrap(f"{number}. {step}") for number, step in enumerate(steps, 1)]
    paragraphs += [f"```python\n{_RUN[stated['format']].format(inputs=_feed(stated))}\n```"]
    paragraphs += [_wrap(line) for line in _closing(stated)]
    return "\n\n".join(paragraphs) + "\n"


def _wrap(text: str) -> str:
    return fill(text, 110, break_on_hyphens=False, break_long_words=False)


def _rows(stated: Mapping[str, Any]) -> Iterator[str]:
    for side in ("inputs", "outputs"):
        for port in stated[side]:
            sizes = ", ".join("any" if size is None else str(size) for size in port["shape"])
            yield f"| {side[:-1]} | `{port['name']}` | {', '.join(port['axes'])} | {sizes} |"


def _steps(stated: Mapping[str, Any]) -> Iterator[str]:
    length = stated["length"]
    yield (
        f"Take audio of {stated['sample_rate']} Hz, float32, nominally in -1..1; channels: "
        f"{stated['channels']}. Append zeros to audio shorter than "
        f"{length or stated['minimum_length']} samples."
    )
    if stated["holds"] == "separator":
        yield "Give the audio as it is: levels, transforms and masks are in the file."
    else:
        yield from _around_a_network(stated)
        yield "Estimate silence from digital silence: a network with biases returns a faint noise."
    chunk = f"exactly {length}" if length else f"about {stated['chunk_length']}"
    yield (
        f"Cut long audio into overlapping chunks of {chunk} samples that begin on multiples of "
        f"{stated['stride']}, and cross-fade the estimates."
    )
    if not stated["ordered"]:
        yield (
            "The order of the sources means nothing: permute the sources of each chunk so that the estimates "
            "agree with those of the previous chunk in the overlap."
        )


def _around_a_network(stated: Mapping[str, Any]) -> Iterator[str]:
    if stated["normalization"] != "none":
        what = "whole recording" if stated["normalization"] == "track" else "chunk"
        yield _NORMALIZED.format(what=what, count=len(stated["sources"]))
    arguments = stated["separator"]["init_args"]
    kind = stated["inputs"][0]["axes"]
    if "members" in arguments:
        yield _FROM_MEMBERS
    elif "frames" in kind:
        yield f"Analyse it by the `transform` in model.json; give {_SEEN[arguments['representation']]}."
        yield _FROM_SPECTROGRAM
    elif "slices" in kind:
        yield _TO_BLOCKS
        yield _FROM_BLOCKS


def _feed(stated: Mapping[str, Any]) -> str:
    names = [port["name"] for port in stated["inputs"]]
    if stated["format"] == "ONNX":
        return "{" + ", ".join(f"'{name}': {name}" for name in names) + "}"
    return "[" + ", ".join(names) + "]"


def _closing(stated: Mapping[str, Any]) -> Iterator[str]:
    check, licence, citation = stated["checked"], stated["licence"], stated["citation"]
    mixtures = ", ".join(f"{items} x {samples}" for items, samples in check["mixtures"])
    yield f"Sources, in the order of the estimates: {', '.join(stated['sources'])}."
    yield (
        f"On noise ({mixtures} samples), {check['runtime']} and PyTorch differ by {check['difference']:.1g} "
        "of the peak."
    )
    yield f"Licence of the weights: {licence['weights'] or licence['code'] or 'not stated'}."
    if citation:
        yield f"Please cite: {citation}"
    yield "model.json holds the same for programs, with hashes of the files."

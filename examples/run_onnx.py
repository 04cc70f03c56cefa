"""Separate a short WAV file with a waveform model, by ONNX Runtime and NumPy alone.

soloist export tiny-sudormrf-digits --to onnx -o digits
python examples/run_onnx.py digits talkers.wav stems
"""

import json
import sys
import wave
from pathlib import Path

import numpy as np
import onnxruntime


def main(model: Path, recording: str, stems: Path) -> None:
    """Separate a recording (16 bits, at the model's rate and channels) into `stems/SOURCE.wav`."""
    card = json.loads((model / "model.json").read_text())
    with wave.open(recording) as file:
        rate, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2" if width == 2 else "u1")
    if (rate, channels, width) != (card["sample_rate"], card["channels"], 2):
        sys.exit(f"{recording} must have 16 bits, {card['sample_rate']} Hz, {card['channels']} channel(s)")
    mixture = samples.reshape(-1, channels).T[None].astype(np.float32) / 32768
    mean, deviation = np.float32(0), np.float32(1)
    if card["normalization"] != "none":
        mono = mixture.mean(axis=1)
        mean, deviation = mono.mean(), mono.std(ddof=1) + np.float32(1e-8)
    session = onnxruntime.InferenceSession(model / "model.onnx")
    (estimates,) = session.run(None, {"mixture": (mixture - mean) / deviation})
    estimates = estimates * deviation + mean / len(card["sources"])
    stems.mkdir(parents=True, exist_ok=True)
    for source, audio in zip(card["sources"], estimates[0], strict=True):
        with wave.open(str(stems / f"{source}.wav"), "wb") as file:
            file.setparams((channels, 2, rate, 0, "NONE", ""))
            file.writeframes((audio.T.clip(-1, 1) * 32767).astype("<i2").tobytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))

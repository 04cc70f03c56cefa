"""Transformers with rotary positions on the bands of a spectrogram."""

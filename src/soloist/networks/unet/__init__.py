"""The U-Net on spectrograms and its intermediate blocks."""

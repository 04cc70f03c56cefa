"""U-Net on spectrograms, with intermediate blocks of several designs."""

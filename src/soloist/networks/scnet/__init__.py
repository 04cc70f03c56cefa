"""SCNet: bands compressed unequally, and dual paths along frequency and time."""

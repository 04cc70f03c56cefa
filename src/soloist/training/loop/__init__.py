"""Training loop: task, trainer, checkpoints, callbacks."""

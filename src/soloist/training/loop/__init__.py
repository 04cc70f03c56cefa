"""The training loop: task, trainer, checkpoints, guards."""

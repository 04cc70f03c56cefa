"""Pictures of sounds, drawn with Matplotlib and without its global state."""

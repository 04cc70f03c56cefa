"""Analysis/synthesis pairs."""

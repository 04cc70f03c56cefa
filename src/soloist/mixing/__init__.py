"""Examples from corpora: which stems are drawn, how they are mixed, how they are varied."""

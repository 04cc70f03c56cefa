"""Work done with a separator: chunks, engines, files."""

"""Reading and writing any format in blocks, streaming resampling."""

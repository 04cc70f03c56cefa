"""The sliced constant-Q transform (sliCQ): a non-stationary Gabor transform of overlapping slices."""

from soloist.transforms.slicq.matrix import SliCQMatrix
from soloist.transforms.slicq.overlap import overlap_slices
from soloist.transforms.slicq.scales import SCALES, FrequencyScale, ScaleName, make_scale
from soloist.transforms.slicq.slicq import SliCQ

__all__ = ["SCALES", "FrequencyScale", "ScaleName", "SliCQ", "SliCQMatrix", "make_scale", "overlap_slices"]

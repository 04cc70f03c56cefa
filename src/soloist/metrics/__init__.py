"""Metrics: numbers that say how well sources were separated, without side effects.

All take references first and estimates second.
"""

from soloist.metrics.aggregation import (
    aggregate,
    aggregate_by_target,
    bootstrap_interval,
    summarize,
    worst_first,
)
from soloist.metrics.bss_eval_v4 import BSSEval, bss_eval
from soloist.metrics.cluster_agreement import clustering_accuracy
from soloist.metrics.perceptual import pesq, stoi
from soloist.metrics.permutation import best_order
from soloist.metrics.ratios import chunked_sdr, improvement, permuted, sd_sdr, sdr, si_sdr, snr
from soloist.metrics.significance import PairedTest, holm, paired_test

__all__ = [
    "BSSEval",
    "PairedTest",
    "aggregate",
    "aggregate_by_target",
    "best_order",
    "bootstrap_interval",
    "bss_eval",
    "chunked_sdr",
    "clustering_accuracy",
    "holm",
    "improvement",
    "paired_test",
    "permuted",
    "pesq",
    "sd_sdr",
    "sdr",
    "si_sdr",
    "snr",
    "stoi",
    "summarize",
    "worst_first",
]

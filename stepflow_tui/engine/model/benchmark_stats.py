"""The arithmetic of benchmarks: histograms of latencies that can be added up, and ratios with their interval."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

_STEPS = 32
"""Buckets between one power of two and the next: a percentile is at most 2.2 % above the real one."""

_T_975 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""Student's t, two-sided 95 %, for 1 to 30 degrees of freedom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """New side by old side, with its 95 % confidence interval. Above 1: the new side is faster."""

    value: float
    low: float
    high: float
    rounds: int

    @property
    def better(self) -> bool | None:
        """True or False where the whole interval lies on one side of 1, None where it can't be told."""
        if self.low > 1:
            return True
        return False if self.high < 1 else None


def histogram(nanoseconds: Iterable[int]) -> dict[int, int]:
    """Latencies as counts per bucket; buckets grow by 2.2 %."""
    found: dict[int, int] = {}
    for value in nanoseconds:
        bucket = math.ceil(_STEPS * math.log2(max(1, value)))
        found[bucket] = found.get(bucket, 0) + 1
    return found


def added(histograms: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Several histograms as one."""
    total: dict[int, int] = {}
    for one in histograms:
        for bucket, count in one.items():
            total[bucket] = total.get(bucket, 0) + count
    return total


def percentile(counts: Mapping[int, int], share: float) -> float | None:
    """Seconds within which this share (0 to 1) of the operations had ended; None where there were none."""
    left = math.ceil(share * sum(counts.values()))
    for bucket in sorted(counts):
        left -= counts[bucket]
        if left <= 0:
            return float(2 ** (bucket / _STEPS) / 1e9)
    return None


def paired_ratio(old: Sequence[float], new: Sequence[float]) -> Ratio | None:
    """How much faster the new side is, by rounds in which both sides took turns.

    The geometric mean of the rounds' ratios; its interval is Student's t on their logarithms (as Georges, Buytaert and
    Eeckhout, OOPSLA 2007, recommend it for few repetitions): what disturbs a machine for longer than a round meets both sides
    and cancels out.

    Args:
        old: operations per second, one value per round.
        new: the same rounds.

    Returns:
        None with fewer than two rounds, or where a side did nothing in one of them.
    """
    if len(old) != len(new) or len(old) < 2 or min((*old, *new)) <= 0:
        return None
    logs = [math.log(b / a) for a, b in zip(old, new, strict=True)]
    middle = fmean(logs)
    half = _t_975(len(logs) - 1) * stdev(logs) / math.sqrt(len(logs))
    return Ratio(value=math.exp(middle), low=math.exp(middle - half), high=math.exp(middle + half), rounds=len(logs))


def _t_975(freedom: int) -> float:
    if freedom <= len(_T_975):
        return _T_975[freedom - 1]
    z = NormalDist().inv_cdf(0.975)
    # Cornish and Fisher's first two terms: right to three digits from here on
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)

"""Pure numerics: metrics, intervals, tests. No I/O, no clock."""

from tidegate.statistics.sequential import (
    Decision,
    HarmTest,
    NonInferiorityTest,
    PairedNonInferiorityTest,
    PairedTest,
    SequentialTest,
)

__all__ = ["Decision", "HarmTest", "NonInferiorityTest", "PairedNonInferiorityTest", "PairedTest", "SequentialTest"]

"""Tests that may be looked at after every row: a decision by one of them is wrong with chance `alpha` at most."""

from tidegate.statistics.sequential.evidence import Decision, SequentialTest
from tidegate.statistics.sequential.paired import PairedNonInferiorityTest, PairedTest
from tidegate.statistics.sequential.split import HarmTest, NonInferiorityTest

__all__ = ["HarmTest", "NonInferiorityTest", "PairedTest", "PairedNonInferiorityTest", "SequentialTest", "Decision"]

"""The number of threads that torch computes with on a CPU, whatever vLLM did to torch before."""

from __future__ import annotations

import torch

set_threads = torch.set_num_threads
"""torch's own function, taken before vLLM's CPU worker replaces it by one that does nothing, for the whole process.

With another number of threads sums are cut elsewhere, and the same checkpoint gives results that differ in their last
digits.
"""

"""Fineline's contract: resources, checkpoints, suites, plans, results, stores and errors.

Everything that the operator, the evaluator, the analysis and the command pass to each other is a type from here.
"""

__version__ = "0.1.0"

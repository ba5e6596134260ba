"""Watches Fineline's resources on a cluster and starts Jobs for them.

The operator is not built yet; this package fixes its place among the layers.
"""

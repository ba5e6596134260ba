"""Scores a slice of a plan on one warm engine and publishes its results."""

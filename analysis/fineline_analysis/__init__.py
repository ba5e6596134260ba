"""Reads results, describes trajectories, fits laws, forecasts, judges and reports."""

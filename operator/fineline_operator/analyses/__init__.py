"""TrajectoryAnalyses: observed, decided on, acted on."""

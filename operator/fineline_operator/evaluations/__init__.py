"""CheckpointEvals: observed, decided on, acted on."""

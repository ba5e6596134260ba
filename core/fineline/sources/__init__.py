"""What evaluates a series as it grows: which checkpoints have come, and which of them are to be evaluated together."""

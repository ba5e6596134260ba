"""CheckpointSources: their prefixes listed, decided on, acted on."""

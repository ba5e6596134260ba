"""The `fineline` command."""

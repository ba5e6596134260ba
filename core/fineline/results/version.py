"""The version of what stands in results: in every table's schema and every record."""

SCHEMA_VERSION = 1
"""A reader refuses one that is newer than its own, naming both."""

"""Probes: what to run, and pure parsers of what the tools print."""

"""Tidy frames and statistics from records. Pure."""

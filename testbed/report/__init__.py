"""Figures and report.html from records, without root."""

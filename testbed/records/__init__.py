"""Raw samples and provenance of a run, written atomically."""

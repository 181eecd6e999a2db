"""Service proxies: one pure file each."""

"""Network plugins: one pure file each."""

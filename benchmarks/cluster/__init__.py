"""Scripts that measure work on several machines."""

"""Scripts that measure how good results are."""

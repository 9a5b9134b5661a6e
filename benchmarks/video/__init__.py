"""Scripts that measure the deraining of video."""

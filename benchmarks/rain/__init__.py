"""Scripts that compare synthetic rain with real rain, and show it."""

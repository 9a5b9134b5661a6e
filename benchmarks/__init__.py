"""Scripts that print the figures of the documentation; README.md lists them."""

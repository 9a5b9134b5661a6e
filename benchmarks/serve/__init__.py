"""Load, hostile clients and batches: what the server does under them."""

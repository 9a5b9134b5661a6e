"""How fast models run on this machine, and what share of what it can do that is."""

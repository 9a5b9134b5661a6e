"""Train, ship and describe the weights inside the package."""

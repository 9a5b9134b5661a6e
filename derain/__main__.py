"""``python -m derain`` is the command ``derain``."""

from derain.cli import main

if __name__ == "__main__":
    main()

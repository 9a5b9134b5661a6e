"""The page without a server: its results, time and memory beside the library's."""

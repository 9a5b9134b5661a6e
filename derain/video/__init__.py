"""Video: frames in and out of files, and what neighbouring frames know of each other."""

"""Derain many picture files: plan the jobs, then do them.

`plan` turns file names, folders and patterns into jobs in which nothing is left open; `pipeline`
does the jobs, and reads and writes while the network works.
"""

from derain.pictures.pipeline import Result, run
from derain.pictures.plan import STREAM, Job, Options, Plan, plan

__all__ = ["STREAM", "Job", "Options", "Plan", "Result", "plan", "run"]

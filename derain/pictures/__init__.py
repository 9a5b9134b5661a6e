"""Derain many picture files: plan the jobs, then do them.

`finding` looks for the pictures that file names, folders and patterns stand for, `plan` turns them
into jobs in which nothing is left open; `pipeline` does the jobs, and reads and writes while the
network works.
"""

from derain.pictures.finding import STREAM, describe_others
from derain.pictures.parts import Part
from derain.pictures.pipeline import Result, run, settled
from derain.pictures.plan import Job, Options, Plan, plan

__all__ = [
    "STREAM",
    "Job",
    "Options",
    "Part",
    "Plan",
    "Result",
    "describe_others",
    "plan",
    "run",
    "settled",
]

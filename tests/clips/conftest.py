"""Without PyAV, what works on clips is left out."""

from derain.extras import is_installed

collect_ignore = (
    [] if is_installed("av") else ["test_clips_plan.py", "test_clips_pipeline.py", "test_resume.py"]
)

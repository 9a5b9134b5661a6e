"""Derain video files: plan the jobs, then do them; what is interrupted is resumed.

`names` says which files are clips, and loads nothing heavy. `plan` turns names into jobs in which
nothing is left open, `pipeline` does the jobs, `resume` keeps what is finished of one, `streaming`
makes a clip a stream of frames. These need PyAV: importers ask for it first
(`derain.extras.require`). `folders` derains folders of frames, `pipes` frames that come from
another program, both without it.
"""

"""What suite `accuracy` is made of: data sets, tasks, scores, baselines, a module per table.

A *task* (`task.py`) is a history with roles, its split by time, the origins at which forecasts are issued and
the rows ahead that are scored. A *model* is a callable `model(task) -> (origins, steps, outputs, levels)`; at
origin k it may read outputs of rows < k only, and of rows >= k the setpoints and known-ahead disturbances.
`leak.py` corrupts what it may not read and compares bits. `docs/accuracy.md` has protocols and figures.
"""

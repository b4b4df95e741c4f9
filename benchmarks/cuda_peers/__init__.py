"""Suite cuda's contestants: our programs on the GPU and PyTorch, eager, compiled, and as a CUDA graph.

`cases` lists what is compared and the goals; `worker` runs one case in a process of its own: `ours`,
`torch_calls`, `attention` and `digest` make what is timed, `contest` compares answers, then all take turns;
`runner` starts the workers within a budget and keeps one results file (`results`), so a run goes on where it
stopped. With `rehearse` the same code runs on a CPU: tiny shapes, our kernels on the host executor
(docs/cuda.md). That says nothing about speed, and is marked wherever it is written.
"""

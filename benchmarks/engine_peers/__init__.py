"""Suite engine's contestants: ours and the frameworks, each in processes of its own.

`problem` makes identical weights and inputs; `ours`, `torch_calls`, `onnx_calls`, `jax_calls` turn a workload
into a call; `worker` serves one library at one number of threads over its standard input and output, since
thread pools are settings of a process; `contest` lets them take turns and compares their answers first.
"""

"""What is run on a machine with a GPU (docs/cuda.md): build, test, sanitize, bench, and the bundle that a
machine without network needs. `python -m tools.gpu COMMAND`, or make gpu-bundle, gpu-test, gpu-sanitize,
gpu-bench. Each keeps to a budget of time and goes on where it stopped."""

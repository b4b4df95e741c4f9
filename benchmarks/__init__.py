"""Speed and quality against named peers: `python -m benchmarks SUITE [--quick] [--json FILE]`.

A suite is a module of this folder with a function `run`; its first docstring line is its description:

    '''Closed loop on the simulated boiler: MPC beside operator rules and an oracle.'''

    from benchmarks.harness import Row

    def run(quick: bool) -> list[Row]:
        ...
        return [Row("boiler-48h", "cost", ours, theirs, "operator", unit="kEUR", better="lower")]

`quick` is the form that `make bench` and the tests run: the same code on fewer seeds or a smaller size. A
suite prints nothing itself; it returns rows, also those in which we lose, and `harness` writes them down. A
row whose peer cannot be had (a package is not installed) is returned with `peer=None`: it counts as unmet.
"""

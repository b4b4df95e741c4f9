"""The suite `dense`: rows from the program's lines (benchmarks.dense_algebra)."""

import math

from benchmarks import dense_algebra

OUTPUT = """about ours avx512, Eigen 3.4.1, OpenBLAS 0.3.30
peak 50.00
row potrf 64 1000.0 100.0 150.0 90.0
row downdate 16 10.0 5.0 4.0 nan
peak 40.00
"""


def test_each_peer_has_its_row_and_blas_none_where_it_has_no_function() -> None:
    rows = dense_algebra.parse(OUTPUT)
    assert [(r.case, r.peer_name, r.ratio) for r in rows] == [
        ("dense-potrf-64", "eigen", 1.5),
        ("dense-potrf-64", "openblas", 0.9),
        ("dense-downdate-16", "eigen", 0.8),
    ]
    assert "10.0 GFLOP/s, 20% of the FMA peak 50.0" in rows[0].note


def test_a_missing_openblas_leaves_its_rows_unmet() -> None:
    rows = dense_algebra.parse(OUTPUT.replace("OpenBLAS 0.3.30", "no OpenBLAS").replace("90.0", "nan"))
    assert [(r.case, r.peer) for r in rows if r.peer_name == "openblas"] == [
        ("dense-potrf-64", None),
        ("dense-downdate-16", None),
    ]
    assert all(math.isnan(r.ratio) for r in rows if r.peer_name == "openblas")

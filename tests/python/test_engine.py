"""The engine from Python: parts of the loss, weights that do not train; programs as users hold them."""

import copy
import ctypes
import gc
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import emisopt
from emisopt import _core, _predict
from emisopt.engine import AdamW, Architecture, Program

WIDTH, STEPS, BATCH, INSIDE = 3, 4, 5, 2


def network(hidden=True):
    """One linear layer to three quantiles of one output, beside it a projection of its input."""
    net = _core.OpList()
    future = net.add_value("future", WIDTH, _core.Rows.future)
    history = net.add_value("history", 1, _core.Rows.history)
    body, raw = (net.add_value(n, w, _core.Rows.future) for n, w in (("body", WIDTH), ("raw", 3)))
    quantiles = net.add_value("quantiles", 3, _core.Rows.future)
    first = net.add_parameter("body.weight", [WIDTH, WIDTH], True)
    second = net.add_parameter("head.weight", [WIDTH, 3], True)
    linear, future_rows = _core.OpKind.linear, _core.Rows.future
    net.add_op(linear, future_rows, future, body, w=first)
    net.add_op(linear, future_rows, body, raw, w=second)
    net.add_op(_core.OpKind.quantiles, future_rows, raw, quantiles, outputs=1, levels=3, middle=1)
    inside = -1
    if hidden:
        inside = net.add_value("inside", INSIDE, future_rows)
        third = net.add_parameter("projection", [WIDTH, INSIDE], True)
        net.add_op(linear, future_rows, body, inside, w=third)
    net.set_io(future, quantiles, 1, 3, 1, history=history, hidden=inside)
    return net


def program(net, **options):
    made = _core.Program(
        net,
        batch=BATCH,
        history_tokens=0,
        future_tokens=STEPS,
        mode=_core.Mode.train,
        loss=_core.Loss.pinball,
        levels=[0.1, 0.5, 0.9],
        threads=1,
        isa=_core.isa_level(),
        **options,
    )
    rng = np.random.default_rng(1)
    made.load(rng.normal(size=net.parameter_count).astype(np.float32))
    made.future[:] = rng.normal(size=made.future.shape)
    made.target[:] = rng.normal(size=made.target.shape)
    made.weight[:] = 1
    return made


def test_parts_are_reported_and_add_up():
    p = program(network(), distill=0.5, distill_multiscale=0.25, multiscale=2.0, hidden=0.1, scales=[2])
    p.teacher[:] = np.sort(np.random.default_rng(2).normal(size=p.teacher.shape), axis=-1)
    p.teacher_weight[:] = 1
    p.hidden_target[:] = 0.3
    p.hidden_weight[:] = 1
    p.run()
    parts = p.loss_parts
    assert all(value > 0 for value in parts.values())
    total = parts["label"] + 2 * parts["multiscale"] + 0.5 * parts["distill"]
    total += 0.25 * parts["distill_multiscale"] + 0.1 * parts["hidden"]
    assert p.loss == pytest.approx(total)
    distance = np.mean((np.asarray(p.quantiles) - np.asarray(p.teacher)) ** 2)
    assert parts["distill"] == pytest.approx(distance, rel=1e-5)
    assert parts["hidden"] == pytest.approx(np.mean((np.asarray(p.hidden) - 0.3) ** 2), rel=1e-5)


def test_only_the_weights_named_get_a_gradient():
    net = network(hidden=False)
    whole, head = program(net), program(net, trainable=[False, True])
    whole.run()
    head.run()
    gradient = np.asarray(head.gradient)
    assert not gradient[: WIDTH * WIDTH].any()
    assert np.array_equal(gradient[WIDTH * WIDTH :], np.asarray(whole.gradient)[WIDTH * WIDTH :])


def test_buffers_that_no_part_asks_for_are_refused():
    p = program(network(hidden=False))
    for name, needs in (("teacher", "distill"), ("hidden_target", "hidden"), ("hidden", "hidden value")):
        with pytest.raises(emisopt.StateError, match=needs):
            getattr(p, name)
    with pytest.raises(emisopt.InputError, match="distill: expected 0 or a positive coefficient"):
        program(network(), distill=-1.0)


# ---- emisopt.engine -------------------------------------------------------------------------------------

TINY = Architecture(
    context=12, horizon=6, width=8, heads=2, layers=2, history_width=3, future_width=4, outputs=2, seed=3
)
ANSWERS = {
    "infer": ["quantiles"],
    "vjp": ["quantiles", "future_gradient"],
    "jacobian": ["quantiles", "jacobian"],
    "tangent": ["quantiles", "tangent"],
}


def ready(model=TINY, mode="infer", **options):
    """A program with weights, inputs and its context cached."""
    made = Program(model, mode=mode, **{"threads": 1, **options})
    made.load()
    rng = np.random.default_rng(4)
    inputs = {"vjp": ["seed"], "tangent": ["direction"], "train": ["target", "weight"]}.get(mode, [])
    for name in ["history", "future", *inputs]:
        view = getattr(made, name)
        view[:] = rng.normal(size=view.shape)
    if mode == "train":
        made.weight[:] = 1
    made.run_context()
    return made


@pytest.mark.parametrize("mode", ANSWERS)
def test_buffers_are_views_and_answers_are_read_only(mode):
    p = ready(mode=mode, batch=1)
    for name in ANSWERS[mode]:
        view = getattr(p, name)
        assert np.shares_memory(view, getattr(p._core, name))
        with pytest.raises(ValueError, match="read-only"):
            view[:] = 0
    p.run()
    before = p.quantiles.copy()
    p.future[:] += 1
    p.run()
    assert not np.array_equal(before, p.quantiles)


def test_a_view_keeps_its_program_alive():
    p = ready()
    p.run()
    view, expected = p.quantiles, p.quantiles.copy()
    del p
    gc.collect()
    assert np.array_equal(view, expected)


@settings(max_examples=15, deadline=None)
@given(
    context=st.integers(0, 9),
    horizon=st.integers(1, 7),
    heads=st.integers(1, 3),
    layers=st.integers(1, 3),
    outputs=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_gradient_and_jacobian_agree_and_look_back_only(context, horizon, heads, layers, outputs, seed):
    a = Architecture(
        context=max(context, 1),
        horizon=horizon,
        width=4 * heads,
        heads=heads,
        layers=layers,
        history_width=2,
        future_width=3,
        outputs=outputs,
        seed=seed,
    )
    pairs = [(o, q) for o in range(outputs) for q in range(3)]
    jacobian, vjp = ready(a, "jacobian", seeds=pairs, history=context), ready(a, "vjp", history=context)
    jacobian.run()
    vjp.run()
    j = jacobian.jacobian.reshape(outputs, 3, horizon, horizon, 3)
    assert not any(j[:, :, t, t + 1 :].any() for t in range(horizon))
    cost = vjp.seed[0].reshape(horizon, outputs, 3)
    expected = np.einsum("toq,oqtsu->su", cost, j)
    np.testing.assert_allclose(vjp.future_gradient[0], expected, atol=1e-4 * max(1, np.abs(expected).max()))
    moved = [(first, last) for first in range(horizon) for last in range(first, horizon)]
    tangent = ready(a, "tangent", directions=moved, history=context)
    tangent.run()
    for (first, last), direction, got in zip(moved, tangent.direction, tangent.tangent, strict=True):
        rows = slice(first, last + 1)
        along = np.einsum("oqtsu,su->toq", j[:, :, :, rows], direction[rows]).reshape(horizon, -1)
        np.testing.assert_allclose(got, along, atol=1e-4 * max(1, np.abs(along).max()))
        assert not got[:first].any()


def test_named_weights_and_gradients_are_views():
    p = ready(mode="train", batch=3)
    p.run()
    weights, gradients = p.named(p.theta), p.named(p.gradient)
    assert list(weights) == list(p.parameters)
    assert weights["layers.0.qkv.weight"].shape == (8, 24)
    assert sum(w.size for w in weights.values()) == p.theta.size == TINY.parameter_count
    assert all(np.shares_memory(g, p.gradient) for g in gradients.values())
    gradients["head.bias"] /= 2  # what an all-reduce does
    offset = p.parameters["head.bias"].offset
    assert np.array_equal(p.gradient[offset : offset + 6], gradients["head.bias"])


def test_weights_depend_on_the_seed_alone():
    assert np.array_equal(TINY.weights(), TINY.weights())
    assert not np.array_equal(TINY.weights(), TINY.with_(seed=4).weights())


def test_a_fitted_forecaster_compiles_and_its_new_weights_load(small_forecaster):
    forecaster = copy.copy(small_forecaster)
    p = ready(forecaster, "vjp", horizon=5)
    assert p.quantiles.shape == (1, 5, 7 * len(forecaster.outputs_))
    assert np.shares_memory(p.theta, forecaster.core_.theta)
    assert len(forecaster.core_.history_names) == p.history.shape[-1]
    assert len(forecaster.core_.future_names) == p.future.shape[-1]
    p.run()
    before = p.quantiles.copy()
    forecaster.core_ = _core.Forecaster.make(*_same_sizes(small_forecaster))
    p.load()
    p.run_context()
    p.run()
    assert not np.array_equal(before, p.quantiles)


def _same_sizes(forecaster, **sizes):
    history, tags = emisopt.plants.Boiler(seed=5).simulate_history(days=2)
    from emisopt._training import network_config
    from emisopt.history import to_history

    changed = emisopt.Forecaster(**{**forecaster.get_params(), **sizes})
    return to_history(history, tags), network_config(changed), 500


@pytest.mark.parametrize("call", ["run", "run_context", "load"])
def test_a_model_that_changed_shape_is_refused(small_forecaster, call):
    forecaster = copy.copy(small_forecaster)
    p = ready(forecaster)
    p.run()
    before = p.quantiles.copy()
    forecaster.core_ = _core.Forecaster.make(*_same_sizes(forecaster, width=32))
    with pytest.raises(emisopt.StateError, match="fitted anew with other sizes"):
        getattr(p, call)()
    assert np.array_equal(before, p.quantiles)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"batch": 0}, r"Program\(batch\): expected at least 1, got 0"),
        ({"horizon": 7}, r"Program\(horizon\): expected 1..6 rows, the model's horizon, got 7"),
        ({"horizon": 0}, r"Program\(horizon\): expected 1..6"),
        ({"history": 13}, r"Program\(history\): expected 0..12 rows, the model's context, got 13"),
        ({"history": -1}, r"Program\(history\): expected 0..12"),
        ({"mode": "forward"}, r"Program\(mode\): expected one of infer, vjp, .*, got 'forward'"),
        ({"isa": "neon"}, r"Program\(isa\): expected one of ref, .*, got 'neon'"),
        ({"threads": -1}, r"Program\(threads\): expected 0 or a number of threads, got -1"),
        ({"mode": "train", "loss": "l2"}, r"Program\(loss\): expected one of pinball, .*, got 'l2'"),
        ({"mode": "jacobian", "seeds": [(2, 0)]}, r"seeds"),
        ({"mode": "tangent", "directions": [(0, 6)]}, r"directions: expected 0 <= first <= last < 6, got"),
        ({"mode": "tangent", "directions": []}, r"directions: expected at least one"),
        ({"mode": "train", "trainable": ["hed"]}, r"trainable_by_name\(prefixes\): .* 'hed'"),
    ],
)
def test_bad_shapes_and_names_are_refused(options, text):
    with pytest.raises(emisopt.InputError, match=text):
        Program(TINY, **options)


def test_history_is_in_whole_tokens():
    with pytest.raises(emisopt.InputError, match="whole tokens of 4, the model's context, got 6"):
        Program(TINY.with_(patch=4), history=6)


def test_foreign_models_are_refused():
    with pytest.raises(emisopt.InputError, match=r"expected a Forecaster or an Architecture, got str"):
        Program("model")
    with pytest.raises(emisopt.StateError, match=r"expected a fitted forecaster"):
        Program(emisopt.Forecaster())
    with pytest.raises(emisopt.InputError, match=r"Architecture.outputs: expected 1..65536, got 0"):
        Architecture(outputs=0)
    with pytest.raises(emisopt.InputError, match=r"ForecasterConfig.width"):
        Architecture(width=7)


def bad_buffers(count):
    read_only = np.zeros(count, np.float32)
    read_only.setflags(write=False)
    return {
        "a float32 array, got float64": np.zeros(count),
        "a float32 array, got list": [0.0] * count,
        "a float32 array, got >f4": np.zeros(count, ">f4"),
        r"shape \(\d+,\), got \(\d+,\)": np.zeros(count + 1, np.float32),
        "a contiguous array": np.zeros(2 * count, np.float32)[::2],
        "an aligned array": np.frombuffer(bytearray(4 * count + 1), np.float32, offset=1, count=count),
        "a writable array": read_only,
    }


@pytest.mark.parametrize("text", [t for t in bad_buffers(1) if "writable" not in t])
def test_weights_that_are_no_plain_buffer_are_refused(text):
    p = ready()
    p.run()
    before = p.quantiles.copy()
    with pytest.raises(emisopt.ShapeError, match=r"Program.load\(theta\): expected " + text):
        p.load(bad_buffers(TINY.parameter_count)[text])
    p.run()
    assert np.array_equal(before, p.quantiles)


@pytest.mark.parametrize("text", bad_buffers(1))
def test_an_optimiser_refuses_buffers_that_it_could_not_change(text):
    p = ready(mode="train")
    bad = bad_buffers(TINY.parameter_count)[text]
    with pytest.raises(emisopt.ShapeError, match=r"AdamW\(theta\): expected " + text):
        AdamW(p, bad)
    if "writable" not in text:
        theta = p.theta.copy()
        with pytest.raises(emisopt.ShapeError, match=r"AdamW.step\(gradient\): expected " + text):
            AdamW(p, theta).step(bad)
        assert np.array_equal(theta, p.theta)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_weight_that_is_not_finite_is_named_and_changes_nothing(value):
    p = ready()
    p.run()
    before = p.quantiles.copy()
    theta = p.theta.copy()
    p.named(theta)["layers.1.down.weight"][3, 5] = value
    with pytest.raises(
        emisopt.InputError, match=rf"finite weights, got {value} at layers.1.down.weight\[3, 5\]"
    ):
        p.load(theta)
    p.run()
    assert np.array_equal(before, p.quantiles)


def test_a_gradient_that_is_not_finite_changes_nothing():
    p = ready(mode="train")
    theta = p.theta.copy()
    optimiser = AdamW(p, theta)
    gradient = np.ones_like(theta)
    gradient[7] = np.nan
    with pytest.raises(emisopt.InputError, match="expected finite numbers"):
        optimiser.step(gradient)
    assert np.array_equal(theta, p.theta)
    assert optimiser.steps == 0


@pytest.mark.parametrize("option", ["rate", "decay", "l2sp", "ewc", "clip"])
def test_an_optimiser_refuses_coefficients_out_of_range(option):
    p = Program(TINY, mode="train")
    with pytest.raises(emisopt.InputError, match=rf"AdamW\({option}\): expected"):
        AdamW(p, p.theta.copy(), **{option: -1.0})


def test_the_pull_to_the_anchor_is_the_gradient_of_its_penalty():
    p = ready(mode="train")
    theta, anchor = p.theta.copy(), np.zeros_like(p.theta)
    AdamW(p, theta, rate=1e-3, l2sp=0.5, anchor=anchor).step(np.zeros_like(theta))
    moved = theta - p.theta
    assert np.array_equal(np.sign(moved), -np.sign(p.theta))  # towards 0 by one step of Adam's size
    np.testing.assert_allclose(np.abs(moved), 1e-3, rtol=1e-2)


@pytest.mark.parametrize("mode", ["infer", "vjp", "jacobian", "tangent", "train"])
def test_buffers_of_other_modes_and_early_runs_are_refused(mode):
    p = Program(TINY, mode=mode)
    own = {
        "vjp": {"seed", "future_gradient"},
        "jacobian": {"jacobian"},
        "tangent": {"direction", "tangent"},
        "train": {"target", "gradient"},
    }
    for name in set().union(*own.values()) - own.get(mode, set()):
        with pytest.raises(emisopt.StateError, match=rf"Program.{name}: not in this mode"):
            getattr(p, name)
    with pytest.raises(emisopt.StateError, match="load"):
        p.run()
    p.load()
    if mode != "train":
        with pytest.raises(emisopt.StateError, match="run_context"):
            p.run()


def test_a_second_thread_is_refused_and_the_first_is_not_disturbed():
    p = ready(Architecture.S, "train", batch=4)
    p.run()
    expected = p.gradient.copy()
    refused = []

    def work():
        for _ in range(20):
            p.run()

    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive() and not refused:  # run() releases the GIL, so this thread goes on meanwhile
        try:
            p.load()
        except emisopt.StateError as error:
            refused.append(str(error))
    thread.join()
    assert "expected one thread at a time, got a call while another one runs" in refused[0]
    p.load()
    p.run()
    assert np.array_equal(expected, p.gradient)


@pytest.mark.parametrize("mode", ["infer", "vjp", "jacobian", "tangent"])
def test_ten_thousand_runs_keep_no_memory(mode):
    """Of Python's and of the C library's; that none is even asked for is counted in program_test.cpp."""

    class Mallinfo2(ctypes.Structure):
        _fields_ = [(name, ctypes.c_size_t) for name in "abcdefghij"]

    try:
        mallinfo2 = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        pytest.skip("hardware: the C library has no mallinfo2")
    mallinfo2.restype = Mallinfo2
    p = ready(mode=mode)
    for _ in range(100):
        p.run()
    gc.collect()
    gc.disable()
    try:
        blocks, used = sys.getallocatedblocks(), mallinfo2().h
        for _ in range(10_000):
            p.run()
        assert sys.getallocatedblocks() - blocks < 20
        assert abs(mallinfo2().h - used) < 4096
    finally:
        gc.enable()


@pytest.mark.parametrize("mode", ["infer", "vjp"])
def test_cost_counts_and_predicts_within_a_quarter(mode):
    """A prediction is of an undisturbed run: on a busy machine one of a few attempts must see one."""
    p = ready(Architecture.S, mode)
    ratios = []
    for _ in range(8):
        _predict._probe_seconds.cache_clear()
        _predict._op_seconds.cache_clear()
        cost = p.cost()
        times = []
        for _ in range(200):
            start = time.perf_counter()
            p.run()
            times.append(time.perf_counter() - start)
        ratios.append(cost.seconds / min(times))
        if 0.75 <= ratios[-1] <= 1.25:
            break
    assert 0.75 <= ratios[-1] <= 1.25, ratios
    assert cost.flop > 24 * TINY.parameter_count and cost.bytes > 4 * Architecture.S.parameter_count


def test_an_int8_program_answers_nearly_the_same_and_is_for_forecasts_alone():
    exact, rounded = ready(Architecture.S), ready(Architecture.S, precision="int8")
    exact.run()
    rounded.run()
    apart = np.abs(exact.quantiles - rounded.quantiles).max() / np.abs(exact.quantiles).max()
    assert 0 < apart < 0.2
    with pytest.raises(emisopt.InputError, match="int8"):
        Program(TINY, mode="vjp", precision="int8")
    with pytest.raises(
        emisopt.InputError, match=r"Program\(precision\): expected one of float32, int8, bf16"
    ):
        Program(TINY, precision="int4")

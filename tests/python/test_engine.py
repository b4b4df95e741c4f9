"""The engine from Python: parts of the training loss and weights that do not train (kernels/backend.hpp)."""

import numpy as np
import pytest

import emisopt
from emisopt import _core

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

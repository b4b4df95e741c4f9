"""The literature's plants: equations against SciPy's integrator, published numbers, arguments by name."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import eigvals

from emisopt.plants import Cstr, QuadrupleTank

# Written down a second time from the papers, in other words than the core's: per hour and kJ there, per
# second here.


def cstr(_, x, feed, heat, c_in=5.1, t_in=104.9):
    a, b, t, jacket = x[:4]
    k1 = k2 = 1.287e12 * np.exp(-9758.3 / (t + 273.15))
    k3 = 9.043e9 * np.exp(-8560.0 / (t + 273.15))
    reaction = k1 * a * 4.2 + k2 * b * -11.0 + k3 * a**2 * -41.85
    slopes = [
        feed * (c_in - a) - k1 * a - k3 * a**2,
        -feed * b + k1 * a - k2 * b,
        feed * (t_in - t) + 4032 * 0.215 / (0.9342 * 3.01 * 10) * (jacket - t) - reaction / (0.9342 * 3.01),
        (heat + 4032 * 0.215 * (t - jacket)) / (5 * 2.0),
    ]
    outputs = [feed * 10 * b, 10 * k2 * b, 0.1322 * 5 * k3 * a**2, t]
    return np.array([s / 3600 for s in slopes] + outputs)


def tank(_, x, v1, v2, k1=3.33, k2=3.35, g1=0.70, g2=0.60):
    q = np.array([0.071, 0.057, 0.071, 0.057]) * np.sqrt(2 * 981 * np.maximum(x[:4], 0))
    slopes = [
        (q[2] - q[0] + g1 * k1 * v1) / 28,
        (q[3] - q[1] + g2 * k2 * v2) / 32,
        ((1 - g2) * k2 * v2 - q[2]) / 28,
        ((1 - g1) * k1 * v1 - q[3]) / 32,
    ]
    return np.array([*slopes, q[0], q[1], v1**2 + v2**2, x[0], x[1]])


def against_scipy(plant, equations, moves):
    outputs = len(plant.tags.outputs)
    for u in moves:
        start = np.concatenate([plant.state, np.zeros(outputs)])
        plant.advance(u)
        solved = solve_ivp(equations, (0, plant.tags.period), start, "DOP853", args=u, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(plant.state, solved.y[:4, -1], rtol=1e-8)
        np.testing.assert_allclose(plant.truth(), solved.y[4:, -1] / plant.tags.period, rtol=1e-8)


def test_the_reactor_agrees_with_scipy_to_eight_digits():
    rng = np.random.default_rng(1)
    against_scipy(Cstr(wander=0), cstr, [(rng.uniform(3, 35), rng.uniform(-9000, 0)) for _ in range(25)])


def test_the_tanks_agree_with_scipy_to_eight_digits():
    rng = np.random.default_rng(2)
    against_scipy(QuadrupleTank(wander=0), tank, [tuple(rng.uniform(1, 6, 2)) for _ in range(25)])


def test_without_wander_the_equations_are_the_published_ones():
    plant = QuadrupleTank("nonminimum", wander=0)
    plant.state = [10.0, 9.0, 3.0, 2.0]
    both = np.concatenate(plant.rates([2.0, 4.0]))
    np.testing.assert_allclose(both, tank(0, plant.state, 2.0, 4.0, 3.14, 3.29, 0.43, 0.34), rtol=1e-12)
    reactor = Cstr(wander=0)
    reactor.state = [3.0, 0.8, 120.0, 100.0]
    np.testing.assert_allclose(
        np.concatenate(reactor.rates([20.0, -4000.0])), cstr(0, reactor.state, 20.0, -4000.0), rtol=1e-12
    )


def linear(plant, u):
    """A, B, C of states -> levels 1 and 2 at rest, by central differences."""
    x0 = plant.state.copy()

    def slopes(x, v):
        plant.state = x
        return plant.rates(v)[0]

    def column(f, base, i, h=1e-5):
        step = np.eye(len(base))[i] * h
        return (f(base + step) - f(base - step)) / (2 * h)

    a = np.column_stack([column(lambda x: slopes(x, u), x0, i) for i in range(4)])
    b = np.column_stack([column(lambda v: slopes(x0, v), np.array(u), i) for i in range(2)])
    return a, b, np.eye(2, 4)


@pytest.mark.parametrize(
    ("phase", "u", "zeros", "constants"),
    [
        ("minimum", (3.0, 3.0), (-0.060, -0.018), (62, 90, 23, 30)),
        ("nonminimum", (3.15, 3.15), (-0.057, 0.013), (63, 91, 39, 56)),
    ],
)
def test_zeros_and_time_constants_are_those_that_johansson_printed(phase, u, zeros, constants):
    a, b, c = linear(QuadrupleTank(phase, wander=0), u)
    system = np.block([[a, b], [c, np.zeros((2, 2))]])
    found = eigvals(system, np.diag([1.0] * 4 + [0.0] * 2))
    finite = np.sort(found[np.isfinite(found) & (np.abs(found) < 1e3)].real)
    np.testing.assert_allclose(finite, np.sort(zeros), atol=0.0015)
    np.testing.assert_allclose(-1 / np.diag(a), constants, rtol=0.08)


def test_the_reactor_rests_where_klatt_and_engell_say():
    np.testing.assert_allclose(Cstr(wander=0).state, [2.1402, 1.0903, 114.19, 112.91], rtol=5e-5)


PLANTS = [(Cstr, [14.0, -1200.0]), (QuadrupleTank, [3.0, 3.0])]


@pytest.mark.parametrize(("make", "u"), PLANTS)
def test_a_clone_goes_on_alike_and_another_seed_differs(make, u):
    plant = make(seed=1).advance(u)
    twin, other = plant.clone(), make(seed=2).advance(u)
    for _ in range(30):
        assert plant.advance(u).measure().equals(twin.advance(u).measure())
        other.advance(u)
    assert not np.allclose(plant.state, other.state, rtol=1e-4)


@pytest.mark.parametrize(("make", "u"), PLANTS)
def test_noise_and_wander_can_be_left_out(make, u):
    plant = make(seed=3, noise=0).advance(u)
    row = plant.measure()
    assert row[plant.tags.outputs].equals(plant.truth())
    still = make(seed=3, wander=0)
    before = still.state.copy()
    at_rest = [14.19, -1113.5] if make is Cstr else [3.0, 3.0]
    np.testing.assert_allclose(still.advance(at_rest).state, before, rtol=1e-9)


@pytest.mark.parametrize(("make", "u"), PLANTS)
def test_an_experiment_stays_in_its_box_and_within_rates(make, u):
    plant = make(seed=4)
    first = plant.tags.setpoints[0]
    history, tags = plant.simulate_history(400, box={first: (4.0, 5.0)})
    assert history.shape == (400, len(tags))
    assert history[first].between(4.0, 5.0).all()
    for name in tags.setpoints:
        assert history[name].diff().abs().max() <= tags[name].rate * (1 + 1e-9)
        assert history[name].nunique() > 25
    assert history.index.to_series().diff().dropna().dt.total_seconds().eq(tags.period).all()
    again, _ = make(seed=4).simulate_history(400, box={first: (4.0, 5.0)})
    assert again.equals(history)


def test_an_experiment_tells_its_progress_and_can_be_stopped():
    shares = []
    history, _ = QuadrupleTank().simulate_history(200, progress=lambda s: shares.append(s) or s < 0.5)
    assert len(history) == 100
    assert shares[-1] == 0.5


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: Cstr(wander=-1), "wander"),
        (lambda: Cstr(noise=float("nan")), "noise"),
        (lambda: Cstr(steps=0), "steps"),
        (lambda: QuadrupleTank("maximum"), "minimum, nonminimum"),
        (lambda: Cstr().advance([14.0]), r"expected \(U=2\), got \(1\)"),
        (lambda: Cstr().advance({"feed": 14.0}), "setpoint 'heat' is missing"),
        (lambda: Cstr().advance([50.0, -1000.0]), "'feed' in 3..35"),
        (lambda: Cstr().advance([float("nan"), -1000.0]), "'feed' in 3..35"),
        (lambda: setattr(Cstr(), "state", [1.0, 1.0]), "expected 4 numbers"),
        (lambda: setattr(Cstr(), "state", [-1.0, 1.0, 100.0, 100.0]), "at least 0"),
        (lambda: Cstr().simulate_history(0), "rows"),
        (lambda: Cstr().simulate_history(5, hold=(0, 3)), "hold"),
        (lambda: Cstr().simulate_history(5, box={"fed": (4, 5)}), "feed, heat"),
        (lambda: Cstr().simulate_history(5, box={"feed": (5, 4)}), "'feed' in 3..35"),
    ],
)
def test_what_is_wrong_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()

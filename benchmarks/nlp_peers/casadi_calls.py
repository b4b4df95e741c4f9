"""IPOPT and sqpmethod, over the network in MX or over values and slopes that come from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import casadi as ca
import numpy as np

from benchmarks.nlp_peers.problem import CURVE, WEIGHT, Floats, Statement, Tick

if TYPE_CHECKING:
    from benchmarks.nlp_peers.casadi_network import CasadiNetwork
    from benchmarks.nlp_peers.network import Prefix


class Derivatives(Protocol):
    """What IPOPT is given in place of a network: see derivatives.Counted."""

    def evaluate(self, v: Floats) -> tuple[float, Floats]: ...

    def slopes(self, v: Floats) -> tuple[Floats, Floats]: ...


JIT = {"jit": True, "compiler": "shell", "jit_options": {"flags": ["-O3", "-march=native", "-ffast-math"]}}


def problem(stated: Statement, cost: ca.MX, excess: ca.MX, v: ca.MX, s: ca.MX) -> dict[str, ca.MX]:
    """The NLP with a slack per limit row."""
    rates = ca.DM(stated.rate_rows())
    return {
        "x": ca.vertcat(v, s),
        "f": cost + WEIGHT * (ca.sum1(s) + 0.5 * CURVE * ca.sumsqr(s)),
        "g": ca.vertcat(excess - s, ca.sparsify(rates) @ v),
    }


class Nlp:
    """A solver made once; `solve` per tick."""

    def __init__(self, stated: Statement, solver: ca.Function) -> None:
        self.stated, self.solver = stated, solver
        bound = stated.rate_bounds()
        self.low = np.concatenate([np.full(stated.case.horizon * len(stated.limits), -np.inf), -bound])
        self.high = np.concatenate([np.zeros(stated.case.horizon * len(stated.limits)), bound])

    def solve(self, tick: Tick, excess: Floats, p: Floats | None = None) -> tuple[Floats, dict[str, Any]]:
        m = len(tick.rhs)
        answer = self.solver(
            x0=np.concatenate([tick.start, np.maximum(excess, 0) + 1e-3]),
            lbx=np.concatenate([tick.low, np.zeros(m)]),
            ubx=np.concatenate([tick.high, np.full(m, np.inf)]),
            lbg=self.low, ubg=self.high, **({} if p is None else {"p": p}),
        )  # fmt: skip
        return np.asarray(answer["x"]).ravel()[: self.stated.n], dict(self.solver.stats())


def options_of(method: str, tolerance: float, jit: bool) -> tuple[str, dict[str, Any]]:
    """CasADi's solver and its options for "ipopt-exact", "ipopt-bfgs", "sqp-qrqp", "sqp-daqp", ..."""
    name, _, kind = method.partition("-")
    common: dict[str, Any] = {"print_time": False, **(JIT if jit else {})}
    if name == "ipopt":
        hessian = {"exact": "exact", "bfgs": "limited-memory"}[kind]
        inner = {
            "print_level": 0, "sb": "yes", "tol": tolerance, "hessian_approximation": hessian,
            "max_iter": 300, "mu_strategy": "adaptive", "warm_start_init_point": "no",
        }  # fmt: skip
        return "ipopt", {**common, "ipopt": inner}
    quiet = {
        "qrqp": {"print_iter": False, "print_header": False, "print_info": False},
        "osqp": {"osqp": {"verbose": False, "eps_abs": 1e-8, "eps_rel": 1e-8, "max_iter": 20000}},
    }.get(kind, {})
    return "sqpmethod", {
        **common, "qpsol": kind, "qpsol_options": {**quiet, "error_on_fail": False, "print_time": False},
        "print_header": False, "print_iteration": False, "print_status": False, "max_iter": 100,
        "tol_du": tolerance, "tol_pr": min(tolerance, 1e-5), "convexify_strategy": "regularize",
        "hessian_approximation": "exact",
    }  # fmt: skip


def of_network(stated: Statement, network: CasadiNetwork, prefix: Prefix, method: str, tolerance: float,
               jit: bool) -> Nlp:  # fmt: skip
    v, s = ca.MX.sym("v", stated.n), ca.MX.sym("s", stated.case.horizon * len(stated.limits))
    cost, excess = network.money_and_excess(v, prefix)
    solver, options = options_of(method, tolerance, jit)
    stated_nlp = {**problem(stated, cost, excess, v, s), "p": network.p}
    return Nlp(stated, ca.nlpsol("nlp", solver, stated_nlp, options))


class Slopes(ca.Callback):  # type: ignore[misc]
    """Jacobian of `Values`."""

    def __init__(self, n: int, m: int, derivatives: Derivatives) -> None:
        ca.Callback.__init__(self)
        self.sizes, self.derivatives = (n, m), derivatives
        self.construct("slopes", {})

    def get_n_in(self) -> int:
        return 2

    def get_n_out(self) -> int:
        return 1

    def get_sparsity_in(self, i: int) -> ca.Sparsity:
        n, m = self.sizes
        return ca.Sparsity.dense(n, 1) if i == 0 else ca.Sparsity(1 + m, 1)

    def get_sparsity_out(self, i: int) -> ca.Sparsity:
        n, m = self.sizes
        return ca.Sparsity.dense(1 + m, n)

    def eval(self, args: list[ca.DM]) -> list[Any]:
        gradient, jacobian = self.derivatives.slopes(np.asarray(args[0]).ravel())
        return [np.vstack([gradient, jacobian])]


class Values(ca.Callback):  # type: ignore[misc]
    """[cost; excess] of variables, from derivatives that are computed elsewhere."""

    def __init__(self, n: int, m: int, derivatives: Derivatives) -> None:
        ca.Callback.__init__(self)
        self.sizes, self.derivatives = (n, m), derivatives
        self.slopes = Slopes(n, m, derivatives)
        self.construct("values", {})

    def get_n_in(self) -> int:
        return 1

    def get_n_out(self) -> int:
        return 1

    def get_sparsity_in(self, i: int) -> ca.Sparsity:
        return ca.Sparsity.dense(self.sizes[0], 1)

    def get_sparsity_out(self, i: int) -> ca.Sparsity:
        return ca.Sparsity.dense(1 + self.sizes[1], 1)

    def eval(self, args: list[ca.DM]) -> list[Any]:
        cost, excess = self.derivatives.evaluate(np.asarray(args[0]).ravel())
        return [np.concatenate([[cost], excess])]

    def has_jacobian(self) -> bool:
        return True

    def get_jacobian(self, name: str, inames: list[str], onames: list[str], opts: Any) -> ca.Function:
        return self.slopes


def of_derivatives(stated: Statement, derivatives: Derivatives, tolerance: float) -> tuple[Nlp, Values]:
    """IPOPT, limited-memory: there is no second derivative to be had. Keep the callback alive."""
    m = stated.case.horizon * len(stated.limits)
    values = Values(stated.n, m, derivatives)
    v, s = ca.MX.sym("v", stated.n), ca.MX.sym("s", m)
    both = values(v)
    solver, options = options_of("ipopt-bfgs", tolerance, jit=False)
    stated_nlp = problem(stated, both[0], both[1:], v, s)
    return Nlp(stated, ca.nlpsol("nlp", solver, stated_nlp, options)), values

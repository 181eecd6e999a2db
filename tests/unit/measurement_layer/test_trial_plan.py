"""The order of trials: complete, reproducible, shuffled, with raw veth everywhere."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.measurement.paths import PATHS
from testbed.measurement.plan import PlannedTrial, plan_trials
from testbed.measurement.workload import PROTOCOLS_OF_TYPE, Workload


@st.composite
def workload_lists(draw: st.DrawFn) -> list[Workload]:
    kinds = draw(st.lists(st.sampled_from(sorted(PROTOCOLS_OF_TYPE)), min_size=1, max_size=4))
    return [
        Workload(
            name=f"{kind}-{number}",
            type=kind,
            protocols=PROTOCOLS_OF_TYPE[kind],
            paths=tuple(draw(st.lists(st.sampled_from(list(PATHS)), unique=True))),
        )
        for number, kind in enumerate(kinds)
    ]


workloads = workload_lists()
variants = st.lists(st.text(max_size=5), min_size=1, max_size=4, unique=True)
repeats = st.integers(1, 3)
seeds = st.integers(0, 2**32)


def identity(trial: PlannedTrial) -> tuple[int, str, str, str, str]:
    return (trial.repeat, trial.variant, trial.workload.name, trial.protocol, trial.path)


@given(workloads, variants, repeats, seeds)
@settings(max_examples=60, deadline=None)
def test_every_combination_once_a_repeat_with_raw_veth(
    loads: list[Workload], cells: list[str], times: int, seed: int
) -> None:
    plan = plan_trials(loads, cells, repeats=times, seed=seed)
    wanted = Counter(
        (repeat, cell, load.name, protocol, path)
        for repeat in range(times)
        for cell in cells
        for load in loads
        for protocol in load.protocols
        for path in {"raw-veth", *load.paths}
    )
    assert Counter(map(identity, plan)) == wanted
    assert [trial.index for trial in plan] == list(range(len(plan)))


@given(workloads, variants, repeats, seeds)
@settings(max_examples=40, deadline=None)
def test_cells_are_contiguous_and_the_plan_depends_on_the_seed_alone(
    loads: list[Workload], cells: list[str], times: int, seed: int
) -> None:
    plan = plan_trials(loads, cells, repeats=times, seed=seed)
    cell_of = [(trial.repeat, trial.variant) for trial in plan]
    changes = sum(before != after for before, after in pairwise(cell_of))
    assert changes == times * len(cells) - 1
    assert [repeat for repeat, _ in cell_of] == sorted(repeat for repeat, _ in cell_of)
    assert plan == plan_trials(loads[::-1], cells[::-1], repeats=times, seed=seed)


LOADS = [Workload(kind, kind, protocols, tuple(PATHS)) for kind, protocols in PROTOCOLS_OF_TYPE.items()]


def test_repeats_cells_and_seeds_have_orders_of_their_own() -> None:
    plan = plan_trials(LOADS, ["geneve", "none", "vxlan"], repeats=3, seed=1)
    orders: dict[tuple[int, str], tuple[tuple[str, ...], ...]] = {}
    for trial in plan:
        key = (trial.repeat, trial.variant)
        orders[key] = (*orders.get(key, ()), (trial.workload.name, trial.protocol, trial.path))
    assert len(set(orders.values())) == len(orders) == 9
    other = plan_trials(LOADS, ["geneve", "none", "vxlan"], repeats=3, seed=2)
    assert [identity(trial) for trial in other] != [identity(trial) for trial in plan]


def test_the_order_of_a_seed_stays_what_it_was() -> None:
    plan = plan_trials([Workload("rtt", "latency", ("TCP", "UDP"), ("hairpin",))], [""], repeats=1, seed=7)
    assert [(trial.protocol, trial.path) for trial in plan] == [
        ("UDP", "raw-veth"),
        ("TCP", "raw-veth"),
        ("UDP", "hairpin"),
        ("TCP", "hairpin"),
    ]

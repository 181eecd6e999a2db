"""The order of trials: complete, reproducible, shuffled."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.measurement.paths import path_descriptions
from testbed.measurement.plan import PlannedTrial, plan_trials
from testbed.measurement.workload import PROTOCOLS_OF_TYPE, Workload

PATHS = tuple(path_descriptions(2, services=1))


@st.composite
def workload_lists(draw: st.DrawFn) -> list[Workload]:
    kinds = draw(st.lists(st.sampled_from(sorted(PROTOCOLS_OF_TYPE)), min_size=1, max_size=4))
    return [
        Workload(
            name=f"{kind}-{number}",
            type=kind,
            protocols=PROTOCOLS_OF_TYPE[kind],
            paths=tuple(draw(st.lists(st.sampled_from(PATHS), unique=True))),
        )
        for number, kind in enumerate(kinds)
    ]


cells_of_workloads = st.dictionaries(st.text(max_size=5), workload_lists(), min_size=1, max_size=4)
repeats = st.integers(1, 3)
seeds = st.integers(0, 2**32)


def identity(trial: PlannedTrial) -> tuple[int, str, str, str, str]:
    return (trial.repeat, trial.variant, trial.workload.name, trial.protocol, trial.path)


@given(cells_of_workloads, repeats, seeds)
@settings(max_examples=60, deadline=None)
def test_every_combination_once_a_repeat(cells: dict[str, list[Workload]], times: int, seed: int) -> None:
    plan = plan_trials(cells, repeats=times, seed=seed)
    wanted = Counter(
        (repeat, cell, load.name, protocol, path)
        for repeat in range(times)
        for cell, loads in cells.items()
        for load in loads
        for protocol in load.protocols
        for path in load.paths
    )
    assert Counter(map(identity, plan)) == wanted
    assert [trial.index for trial in plan] == list(range(len(plan)))


@given(cells_of_workloads, repeats, seeds)
@settings(max_examples=40, deadline=None)
def test_cells_are_contiguous_and_the_plan_depends_on_the_seed_alone(
    cells: dict[str, list[Workload]], times: int, seed: int
) -> None:
    plan = plan_trials(cells, repeats=times, seed=seed)
    cell_of = [(trial.repeat, trial.variant) for trial in plan]
    changes = sum(before != after for before, after in pairwise(cell_of))
    measured = [cell for cell, loads in cells.items() if any(load.paths for load in loads)]
    assert changes == max(0, times * len(measured) - 1)
    assert [repeat for repeat, _ in cell_of] == sorted(repeat for repeat, _ in cell_of)
    turned = {cell: loads[::-1] for cell, loads in reversed(cells.items())}
    assert plan == plan_trials(turned, repeats=times, seed=seed)


LOADS = [Workload(kind, kind, protocols, PATHS) for kind, protocols in PROTOCOLS_OF_TYPE.items()]


def test_repeats_cells_and_seeds_have_orders_of_their_own() -> None:
    plan = plan_trials(dict.fromkeys(["geneve", "none", "vxlan"], LOADS), repeats=3, seed=1)
    orders: dict[tuple[int, str], tuple[tuple[str, ...], ...]] = {}
    for trial in plan:
        key = (trial.repeat, trial.variant)
        orders[key] = (*orders.get(key, ()), (trial.workload.name, trial.protocol, trial.path))
    assert len(set(orders.values())) == len(orders) == 9
    other = plan_trials(dict.fromkeys(["geneve", "none", "vxlan"], LOADS), repeats=3, seed=2)
    assert [identity(trial) for trial in other] != [identity(trial) for trial in plan]


def test_the_order_of_a_seed_stays_what_it_was() -> None:
    load = Workload("rtt", "latency", ("TCP", "UDP"), ("raw-veth", "hairpin"))
    plan = plan_trials({"": [load]}, repeats=1, seed=7)
    assert [(trial.protocol, trial.path) for trial in plan] == [
        ("UDP", "raw-veth"),
        ("TCP", "raw-veth"),
        ("UDP", "hairpin"),
        ("TCP", "hairpin"),
    ]


def test_each_cell_has_its_own_workloads() -> None:
    few, many = (Workload("a", "connect", ("TCP",), ("hairpin",), count=count) for count in (10, 20))
    plan = plan_trials({"count=10": [few], "count=20": [many]}, repeats=1, seed=1)
    assert {trial.variant: trial.workload.count for trial in plan} == {"count=10": 10, "count=20": 20}

"""A run set beside published figures: judgements of shape, each with the numbers that lead to it.

A judgement has three values. What a run cannot tell, because an interval is too wide, is said to be so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from testbed.analysis.axes import Scaling, settings_by_variant
from testbed.analysis.dataplanes import Dataplane, dataplane_of
from testbed.analysis.statistics import Interval
from testbed.analysis.trends import Agreement, Trend, agreement_with, factor_between
from testbed.report.growth import Growth, factor_text, growth_of, series_at, span_text
from testbed.report.labels import number_label
from testbed.report.numbers import duration, ratio, significant
from testbed.report.published import (
    ADDING,
    ADDING_S,
    FIRST_PACKET,
    FIRST_PACKET_MS,
    UPDATING,
    Source,
)
from testbed.report.view import Measurement, RunView

SWEPT = "services"
FIRST, LAST, NEW = "first-service", "last-service", "new-service"
IPTABLES, NFTABLES = "iptables", "nftables"


@dataclass(frozen=True, slots=True)
class Judgement:
    """One statement: what is expected, what the run shows, what was published, and whether they agree."""

    claim: str
    here: str
    published: str
    verdict: Agreement


@dataclass(frozen=True, slots=True)
class Comparison:
    """The judgements on one publication."""

    source: Source
    judgements: tuple[Judgement, ...]


@dataclass(frozen=True, slots=True)
class Subject:
    """What is judged: a measurement with its protocol in a run over numbers of Services."""

    view: RunView
    scaling: Scaling
    measurement: Measurement
    protocol: str

    def growth(self, path: str, group: str) -> Growth | None:
        """Return how a path of a group grows."""
        return growth_of(self.view, self.measurement, (self.protocol, path, group))

    def factor(self, above: tuple[str, str], below: tuple[str, str], number: float) -> Interval:
        """Return one path and group over another, at one number of Services."""
        series = [
            series_at(self.view, self.measurement, (self.protocol, *pair), number) for pair in (above, below)
        ]
        return factor_between(self.view.values, series[:1], series[1:])

    def groups_by(self, proxy: str) -> list[str]:
        """Return the groups whose Services are carried out by a proxy."""
        return [group for group in self.scaling.groups if self.dataplane(group).proxy == proxy]

    def dataplane(self, group: str) -> Dataplane:
        """Return what a group is made of."""
        variants = [variant for (of, _), variant in self.scaling.variants.items() if of == group]
        settings = settings_by_variant(self.view.record)
        return dataplane_of(self.view.record, settings[variants[0]] if variants else {})

    def name(self, group: str) -> str:
        """Return what a group is called: its label, or its proxy where nothing but the number is swept."""
        return group or self.dataplane(group).proxy

    def pairs(self) -> list[tuple[str, str]]:
        """Return the groups of iptables, each with that of nftables on the same network."""
        return [
            (one, other)
            for one in self.groups_by(IPTABLES)
            for other in self.groups_by(NFTABLES)
            if (self.dataplane(one).plugin, self.dataplane(one).carrier)
            == (self.dataplane(other).plugin, self.dataplane(other).carrier)
        ]


def comparisons_of(view: RunView) -> list[Comparison]:
    """Return what a run says to each publication; none for one that it has no matching data for."""
    judged = [
        Comparison(FIRST_PACKET, tuple(j for s in _subjects(view, "connect_us") for j in _first_packet(s))),
        Comparison(ADDING, tuple(j for s in _subjects(view, "programming_us") for j in _adding(s))),
        Comparison(UPDATING, tuple(j for s in _subjects(view, "programming_us") for j in _updating(s))),
    ]
    return [comparison for comparison in judged if comparison.judgements]


def _subjects(view: RunView, metric: str) -> Iterator[Subject]:
    if view.scaling is None or view.scaling.key != SWEPT:
        return
    for measurement in view.measurements:
        if measurement.metric == metric:
            for protocol in measurement.protocols:
                yield Subject(view, view.scaling, measurement, protocol)


# --- the first packet ---


def _first_packet(subject: Subject) -> Iterator[Judgement]:
    for group in subject.groups_by(IPTABLES):
        growth = subject.growth(LAST, group)
        if growth is not None:
            claim = f"{subject.name(group)}: the last Service takes longer, the more Services there are"
            yield _judged_growth(subject, growth, claim, Trend.GROWS, _published_growth(IPTABLES))
    for group in subject.groups_by(NFTABLES):
        growth = subject.growth(LAST, group)
        if growth is not None:
            claim = f"{subject.name(group)}: the number of Services does not matter to the last one"
            yield _judged_growth(subject, growth, claim, Trend.LEVEL, _published_growth(NFTABLES))
    for size in sorted(set(FIRST_PACKET_MS[IPTABLES]) & {int(n) for n in subject.scaling.numbers}):
        yield from _at_size(subject, size)


def _at_size(subject: Subject, size: int) -> Iterator[Judgement]:
    """Yield what can be compared directly: numbers of Services that both the run and the source have."""
    slow, quick = FIRST_PACKET_MS[IPTABLES][size], FIRST_PACKET_MS[NFTABLES][size]
    where = number_label(SWEPT, size)
    for one, other in subject.pairs():
        factor = subject.factor((LAST, one), (LAST, other), size)
        if factor.n:
            claim = f"{subject.name(one)} over {subject.name(other)}: the last of {where} takes longer"
            of_medians, of_worst = (ratio(slow[name] / quick[name]) for name in ("p50", "p99"))
            published = f"{of_medians} at p50 and {of_worst} at p99 of all Services: longer"
            yield _judged(factor, claim, f"median {factor_text(factor)}", Trend.GROWS, published)
    for group in subject.groups_by(IPTABLES):
        factor = subject.factor((LAST, group), (FIRST, group), size)
        if factor.n:
            claim = f"{subject.name(group)}: the last of {where} takes longer than the first"
            published = f"p99 over p01 {ratio(slow['p99'] / slow['p01'])}: longer"
            yield _judged(factor, claim, f"median {factor_text(factor)}", Trend.GROWS, published)
    for group in subject.groups_by(NFTABLES):
        factor = subject.factor((LAST, group), (FIRST, group), size)
        if factor.n:
            claim = f"{subject.name(group)}: the last of {where} is like the first"
            spread = ratio(quick["p99"] / quick["p01"])
            published = f"p99 over p01 {spread}, which the source calls very similar"
            yield _judged(factor, claim, f"median {factor_text(factor)}", Trend.LEVEL, published)


def _published_growth(proxy: str) -> str:
    figures = FIRST_PACKET_MS[proxy]
    low, high = min(figures), max(figures)
    factor = figures[high]["p50"] / figures[low]["p50"]
    trend = "grows" if factor > 1 else "stays level"
    return f"p50 {ratio(factor)} from {low:,} to {number_label(SWEPT, high)}: {trend}"


# --- adding a Service ---


def _adding(subject: Subject) -> Iterator[Judgement]:
    published = _published_adding()
    groups = [group for group in subject.scaling.groups if subject.dataplane(group).proxy != IPTABLES]
    for one in subject.groups_by(IPTABLES):
        growth = subject.growth(NEW, one)
        if growth is None:
            continue
        claim = f"{subject.name(one)}: adding a Service takes longer, the more there are"
        yield _judged_growth(subject, growth, claim, Trend.GROWS, published)
        for other in groups:
            beside = subject.growth(NEW, other)
            if beside is not None and (beside.smallest, beside.largest) == (growth.smallest, growth.largest):
                yield _steeper(subject, growth, beside)


def _steeper(subject: Subject, growth: Growth, beside: Growth) -> Judgement:
    factor = factor_between(subject.view.values, [growth.above, beside.below], [growth.below, beside.above])
    one, other = subject.name(growth.group), subject.name(beside.group)
    here = f"{one} {ratio(growth.factor.mean)}, {other} {ratio(beside.factor.mean)}: {factor_text(factor)}"
    published = "iptables grows, IPVS is near constant: steeper"
    if subject.dataplane(beside.group).proxy != "ipvs":
        published = f"{published} (IPVS stands for what writes only what changed)"
    claim = f"{one} over {other}: adding a Service grows more steeply"
    return _judged(factor, claim, here, Trend.GROWS, published)


def _updating(subject: Subject) -> Iterator[Judgement]:
    for group in subject.groups_by(NFTABLES):
        growth = subject.growth(NEW, group)
        if growth is not None:
            claim = f"{subject.name(group)}: adding a Service takes as long, however many there are"
            yield _judged_growth(subject, growth, claim, Trend.LEVEL, "independent of their number")


def _published_adding() -> str:
    figures = ADDING_S[IPTABLES]
    low, high = (_short_time(figures[size]) for size in (1, 5_000))
    factor = ratio(figures[5_000] / figures[1])
    return f"{low} at 1, {high} at 5,000 Services ({factor}): grows"


def _short_time(seconds: float) -> str:
    return f"{significant(1e3 * seconds, 1)} ms" if seconds < 1 else duration(seconds)


# --- verdicts ---


def _judged_growth(
    subject: Subject, growth: Growth, claim: str, expected: Trend, published: str
) -> Judgement:
    here = f"median {factor_text(growth.factor)} {span_text(subject.scaling, growth)}"
    return _judged(growth.factor, claim, here, expected, published)


def _judged(factor: Interval, claim: str, here: str, expected: Trend, published: str) -> Judgement:
    return Judgement(claim, here, published, agreement_with(expected, factor))


def summary_of(comparisons: Sequence[Comparison]) -> str:
    """Return how many judgements came out which way: "3 agree, 1 disagrees, 2 cannot be told"."""
    verdicts = [judgement.verdict for comparison in comparisons for judgement in comparison.judgements]
    counts = {verdict: verdicts.count(verdict) for verdict in Agreement}
    words = {
        Agreement.AGREES: ("agrees", "agree"),
        Agreement.DISAGREES: ("disagrees", "disagree"),
        Agreement.UNTOLD: ("cannot be told", "cannot be told"),
    }
    return ", ".join(f"{n} {words[verdict][n != 1]}" for verdict, n in counts.items() if n)

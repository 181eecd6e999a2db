"""Label selectors: matchLabels and matchExpressions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from testbed.spec.kubernetes.names import (
    LABEL_KEY_RULE,
    LABEL_VALUE_RULE,
    Labels,
    QuotedText,
    is_label_key,
    is_label_value,
)
from testbed.spec.model import SpecModel
from testbed.spec.problem import Problem, refuse_if_any, refused, shortened
from testbed.spec.values import Text, one_of

OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


def _check_key(key: str) -> str:
    if not is_label_key(key):
        raise refused(f"'{shortened(key)}' is not a valid label key", LABEL_KEY_RULE)
    return key


def _check_value(value: str) -> str:
    if not is_label_value(value):
        raise refused(f"'{shortened(value)}' is not a valid label value", LABEL_VALUE_RULE)
    return value


class Requirement(SpecModel):
    """One of matchExpressions."""

    key: Annotated[QuotedText, AfterValidator(_check_key)]
    operator: Annotated[Text, one_of(OPERATORS)]
    values: tuple[Annotated[QuotedText, AfterValidator(_check_value)], ...] = ()

    @model_validator(mode="after")
    def _values_fit_operator(self) -> Requirement:
        # "If the operator is In or NotIn, the values array must be non-empty. If the operator is Exists or
        # DoesNotExist, the values array must be empty." (LabelSelectorRequirement)
        needs_values = self.operator in ("In", "NotIn")
        if needs_values and not self.values:
            raise refused(
                f"{self.operator} without values",
                "at least one is required",
                "add values: [...]",
                ("values",),
            )
        if self.values and not needs_values:
            raise refused(f"{self.operator} takes no values", "", "remove values", ("values",))
        return self

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether labels fulfil this requirement. A missing key fulfils NotIn and DoesNotExist."""
        if self.operator == "In":
            return labels.get(self.key) in self.values and self.key in labels
        if self.operator == "NotIn":
            return self.key not in labels or labels[self.key] not in self.values
        return (self.key in labels) == (self.operator == "Exists")


class LabelSelector(SpecModel):
    """A label selector; all of its parts must match, and an empty one matches everything."""

    match_labels: Labels = Field(default_factory=dict)
    match_expressions: tuple[Requirement, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it has no requirement at all."""
        return not self.match_labels and not self.match_expressions

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether labels fulfil every requirement."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            requirement.matches(labels) for requirement in self.match_expressions
        )


def check_selects_template(selector: LabelSelector, labels: Mapping[str, str]) -> list[Problem]:
    """Return what is wrong between a selector and the template's labels; paths begin in spec."""
    if selector.is_empty:
        what = "the selector is empty"
        return [Problem(what, "a workload must select its own Pods", "add matchLabels", ("selector",))]
    if selector.matches(labels):
        return []
    missing = {key: value for key, value in selector.match_labels.items() if labels.get(key) != value}
    wanted = ", ".join(f"{key}: {value}" for key, value in sorted(missing.items()))
    fix = f"add {wanted}" if wanted else "make them fulfil spec.selector.matchExpressions"
    what = "the template's labels do not match spec.selector"
    return [Problem(what, "", fix, ("template", "metadata", "labels"))]


def check_selector(selector: LabelSelector, labels: Mapping[str, str]) -> None:
    """Refuse a workload's spec whose selector does not select its template."""
    refuse_if_any(check_selects_template(selector, labels))

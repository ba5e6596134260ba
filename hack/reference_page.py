"""Fills reference pages' templates (hack/reference/) with tables made from CRDs, models, reasons and metrics."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry

from fineline.resources import CheckpointEval
from fineline.resources.crd import crd_document
from fineline.resources.failure_reasons import FAILURE_REASONS
from fineline.resources.kinds import Kind
from fineline.resources.words import ConditionReason
from fineline_operator.settings import PATTERN_WORDS

_LENGTHS = (("Length", "characters"), ("Items", "items"), ("Properties", "entries"))


def reference_page(template: str, example: str, kind: Kind) -> str:
    """The page's Markdown. Every `{{name}}` of the template is one of the parts below."""
    version = crd_document(kind)["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]["properties"]
    parts: dict[str, Callable[[], str]] = {
        "example": lambda: example,
        "spec": lambda: "".join(_blocks("spec", schema["spec"], ("field", "type", "default", "bounds", "meaning"))),
        "status": lambda: "".join(_blocks("status", schema["status"], ("field", "type", "meaning"))),
        "columns": lambda: _rows(
            (column["name"], f"`{column['jsonPath']}`", "with `-o wide`" if column["priority"] else "")
            for column in version["additionalPrinterColumns"]
        ),
        "reasons": lambda: _reasons(list(kind.reasons)),
        "events": lambda: _table(
            ("reason", "type", "means"), ((f"`{one.value}`", one.kind, one.meaning) for one in kind.events)
        ),
    }
    if kind.model is CheckpointEval:
        parts["failures"] = lambda: _table(
            ("reason", "fails", "means", "mend"),
            ((f"`{one.word}`", f"the {one.scope}", one.meaning, one.mend) for one in FAILURE_REASONS),
        )
    return _filled(template, parts)


def settings_page(template: str, example: str, schema: Mapping[str, Any]) -> str:
    """The page on the operator's settings, from the structural schema of their model."""
    columns = ("field", "type", "default", "bounds", "meaning")
    fields = "".join(_blocks("settings", schema, columns)).rstrip("\n") + "\n"
    return _filled(template, {"example": lambda: example, "settings": lambda: fields})


def metrics_page(template: str, registry: CollectorRegistry, prefix: str, alerts: Mapping[str, Any]) -> str:
    """The page on the metrics of a registry whose names have this prefix, and on the alerting rules of a file."""
    told = [metric for metric in registry.collect() if metric.name.startswith(prefix)]
    # The library has no public way to the labels of a metric that has no series yet.
    collectors = [one for one in registry._collector_to_names if hasattr(one, "_labelnames")]  # noqa: SLF001
    labels = {one._name: one._labelnames for one in collectors}  # noqa: SLF001
    rows = (
        (
            f"`{metric.name}{'_total' if metric.type == 'counter' else ''}`",
            metric.type,
            _listed(labels.get(metric.name, ())),
            metric.documentation,
        )
        for metric in told
    )
    rules = (
        (f"`{rule['alert']}`", rule["labels"]["severity"], f"`{rule['expr']}`", rule.get("for", ""), _says(rule))
        for group in alerts["groups"]
        for rule in group["rules"]
    )
    return _filled(
        template,
        {
            "metrics": lambda: _table(("metric", "type", "labels", "meaning"), rows),
            "alerts": lambda: _table(("alert", "severity", "expression", "for", "says"), rules),
        },
    )


def _says(rule: Mapping[str, Any]) -> str:
    """Without the values that an alert fills in."""
    said = rule["annotations"]
    return re.sub(r"{{ \$(?:labels\.)?(\w+)[^}]*}}", r"*\1*", f"{said['summary']} {said['description']}")


def _filled(template: str, parts: Mapping[str, Callable[[], str]]) -> str:
    page = template
    for name, part in parts.items():
        if f"{{{{{name}}}}}" not in template:
            raise ValueError(f"the template lacks {{{{{name}}}}}")
        page = page.replace(f"{{{{{name}}}}}", part())
    return page


def _reasons(reasons: Sequence[ConditionReason]) -> str:
    """A table for each section; what all of its reasons show is told once."""
    sections = list(dict.fromkeys(reason.section for reason in reasons))
    return "\n".join(_section(name, [reason for reason in reasons if reason.section == name]) for name in sections)


def _section(name: str, reasons: Sequence[ConditionReason]) -> str:
    stalled = {one for reason in reasons for one in reason.shown if one.startswith(("Reconciling", "Stalled"))}
    shared = sorted(stalled) if len(stalled) == 2 else []
    rows = (
        (f"`{reason.value}`", _listed(one for one in reason.shown if one not in shared), reason.meaning, reason.mend)
        for reason in reasons
    )
    told = f"With {_listed(shared)}.\n\n" if shared else ""
    return f"### {name}\n\n{told}{_table(('reason', 'of', 'means', 'mend'), rows)}"


def _listed(conditions: Iterable[str]) -> str:
    return ", ".join(f"`{one}`" for one in conditions)


def _blocks(path: str, schema: Mapping[str, Any], columns: Sequence[str]) -> Iterator[str]:
    """A section for the object and, after it, one for each object in it."""
    required = schema.get("required", ())
    fields = schema["properties"]
    yield f"### {path}\n\n{schema['description'].partition(' Default: ')[0]}\n\n"
    yield _table(
        columns,
        (
            [cell for column, cell in _cells(name, field, name in required).items() if column in columns]
            for name, field in fields.items()
        ),
    )
    refused = [rule["message"] for rule in schema.get("x-kubernetes-validations", ())]
    yield "".join([*(f"\n- Refused: {message}." for message in refused), "\n" if refused else "", "\n"])
    for name, field in fields.items():
        inner, suffix = _object_in(field)
        if "properties" in inner:
            yield from _blocks(f"{path}.{name}{suffix}", inner, columns)


def _cells(name: str, field: Mapping[str, Any], required: bool) -> dict[str, str]:  # noqa: FBT001 - private
    meaning, _, default = field["description"].partition(" Default: ")
    return {
        "field": f"`{name}`",
        "type": _type(field),
        "default": "required" if required else _shown_default(field, default.removesuffix(".")),
        "bounds": _bounds(field),
        "meaning": meaning,
    }


def _shown_default(field: Mapping[str, Any], told: str) -> str:
    return f"`{told}`" if "default" in field else told


def _type(field: Mapping[str, Any]) -> str:
    kind: str = field.get("type", "any value")
    match kind:
        case "array":
            return f"list of {_plural(_type(field['items']))}"
        case "object" if "additionalProperties" in field:
            return f"map of {_plural(_type(field['additionalProperties']))}"
        case "string" if field.get("format") == "date-time":
            return "time"
    return kind


def _plural(kind: str) -> str:
    return "any values" if kind == "any value" else f"{kind}s"


def _bounds(field: Mapping[str, Any]) -> str:
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    told = [_range(field.get("minimum"), field.get("maximum"), "")]
    told += [_range(field.get(f"min{what}"), field.get(f"max{what}"), f" {word}") for what, word in _LENGTHS]
    values = field.get("additionalProperties", field.get("items", {}))
    if values.get("type") in ("string", "integer"):
        told += [f"each {bounds}" for bounds in [_bounds(values)] if bounds]
    if "pattern" in field:
        told.append(PATTERN_WORDS.get(field["pattern"], f"`{field['pattern']}`").removeprefix("must be "))
    return "; ".join(part for part in told if part)


def _range(least: int | None, most: int | None, unit: str) -> str:
    if most is None:
        return ""
    if least == most:
        return f"{most:,}{unit}"
    return f"at most {most:,}{unit}" if least is None else f"{least:,} to {most:,}{unit}"


def _object_in(field: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    if "items" in field:
        return field["items"], "[]"
    if "additionalProperties" in field:
        return field["additionalProperties"], ".*"
    return field, ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return _rows([head, ["---"] * len(head), *rows])


def _rows(rows: Iterable[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows)

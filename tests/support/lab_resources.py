"""The resources of one kind in a lab's namespace: edited, and waited for until their status reads as it should."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from support.control_plane import ControlPlane, wait_for
from support.kube_api import KubeApi
from support.resources import KIND


class Resources:
    """What tests do with resources of a kind; the one that is meant where none is named is called tiny."""

    kind: str
    plane: ControlPlane
    namespace: str

    @property
    def api(self) -> KubeApi:
        return self.plane.admin

    def body(self, name: str, usual: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
        """A resource with the usual spec, in which `a__b` replaces one field of a block and None leaves one out."""
        values = copy.deepcopy(dict(usual))
        for path, value in spec.items():
            block = values
            *above, last = path.split("__")
            for part in above:
                block = block.setdefault(part, {})
            block[last] = value
            if value is None:
                del block[last]
        return {
            "apiVersion": "fineline.dev/v1alpha1",
            "kind": self.kind,
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": values,
        }

    def path(self, name: str = "", subresource: str = "") -> str:
        parts = (f"/apis/fineline.dev/v1alpha1/namespaces/{self.namespace}/{KIND[self.kind].plural}", name, subresource)
        return "/".join(part for part in parts if part)

    def get(self, name: str = "tiny") -> dict[str, Any]:
        return self.api.get(self.path(name))

    def delete(self, name: str = "tiny") -> None:
        self.api.delete(self.path(name))

    def edit(self, name: str = "tiny", **spec: Any) -> None:
        """A merge patch of the spec: `a__b` as in `body`."""
        patch: dict[str, Any] = {}
        for path, value in spec.items():
            block = patch
            *above, last = path.split("__")
            for part in above:
                block = block.setdefault(part, {})
            block[last] = value
        self.api.patch(self.path(name), {"spec": patch}, kind="merge")

    def edit_and_be_seen(self, name: str = "tiny", **spec: Any) -> None:
        """Edits, and returns when the operator has looked at it: what it was to do before is done by then."""
        self.edit(name, **spec)
        generation = self.get(name)["metadata"]["generation"]
        self.wait_until(
            lambda: self.status(name)["observedGeneration"] == generation, f"generation {generation} of {name} seen"
        )

    def annotate(self, annotation: str, value: str, name: str = "tiny") -> None:
        self.api.patch(self.path(name), {"metadata": {"annotations": {annotation: value}}}, kind="merge")

    def status(self, name: str = "tiny") -> dict[str, Any]:
        found: dict[str, Any] = self.get(name).get("status", {})
        return found

    def condition(self, kind: str, name: str = "tiny") -> dict[str, Any]:
        """The condition; of status and reason "" where it is not there yet."""
        nothing = {"status": "", "reason": "", "message": ""}
        return next((item for item in self.status(name).get("conditions", ()) if item["type"] == kind), nothing)

    def wait(
        self, kind: str, status: str, reason: str | None = None, *, name: str = "tiny", seconds: float = 60
    ) -> dict[str, Any]:
        """Waits until the condition reads so, and gives it."""

        def reads_so() -> bool:
            found = self.condition(kind, name)
            return found["status"] == status and reason in (None, found["reason"])

        try:
            wait_for(reads_so, f"{kind}={status} {reason or ''} of {name}", seconds=seconds)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; its status is {self.status(name)}") from None
        return self.condition(kind, name)

    def wait_until(self, true: Callable[[], object], what: str, *, seconds: float = 60) -> None:
        """`wait_for`, patient while the status has no such part yet."""

        def is_true() -> bool:
            try:
                return bool(true())
            except KeyError:
                return False

        wait_for(is_true, what, seconds=seconds)

    def wait_for_event(self, reason: str, name: str = "tiny", *, seconds: float = 30) -> str:
        """The message of the first event of that reason, as soon as it is told."""
        wait_for(lambda: reason in dict(self.events(name)), f"the event {reason} of {name}", seconds=seconds)
        return next(message for told, message in self.events(name) if told == reason)

    def events(self, name: str = "tiny") -> list[tuple[str, str]]:
        """Reasons and messages, in the order of their making."""
        about = f"involvedObject.name={name},involvedObject.kind={self.kind}"
        found = self.api.items(f"/api/v1/namespaces/{self.namespace}/events", fieldSelector=about)
        found.sort(key=lambda item: int(item["metadata"]["resourceVersion"]))
        return [(item["reason"], item["message"]) for item in found]


@dataclass
class ResourcesOf(Resources):
    """Those of any kind."""

    kind: str
    plane: ControlPlane
    namespace: str

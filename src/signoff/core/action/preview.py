# SPDX-License-Identifier: Apache-2.0
"""What a write would change in the real target, as structured changes that can be compared later.

A dry-run tool answers `{changes: [{path, before, after}], version?}`; without one, the same is built from a read and
from what the contract says comes after. Drift is any difference between two previews outside what `ignore` names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from signoff.core.errors import Malformed


@dataclass(frozen=True, slots=True)
class Change:
    """One value of the target, before and after; `None` for what does not exist."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Preview:
    """The change set, the target's version if it told one, and the answer it was read from (for `preview.*` in CEL)."""

    changes: tuple[Change, ...]
    version: Any
    answer: Mapping[str, Any]

    def as_value(self) -> dict[str, Any]:
        """Return the payload that is committed to and kept."""
        changes = [{"path": change.path, "before": change.before, "after": change.after} for change in self.changes]
        return {"changes": changes, "version": self.version, "answer": dict(self.answer)}

    @property
    def summary(self) -> str:
        """Return a line for lists: how much changes, and where first."""
        if not self.changes:
            return "changes nothing"
        more = f" and {len(self.changes) - 1} more" if len(self.changes) > 1 else ""
        return f"changes {self.changes[0].path}{more}"


def from_value(value: Mapping[str, Any]) -> Preview:
    """Return the preview that `as_value` gave."""
    changes = tuple(Change(item["path"], item["before"], item["after"]) for item in value["changes"])
    return Preview(changes, value["version"], value["answer"])


def from_dry_run(answer: Mapping[str, Any]) -> Preview:
    """Return the preview a dry-run tool answered.

    Raises:
        Malformed: the answer has no well-formed `changes`.
    """
    changes = answer.get("changes")
    if not isinstance(changes, Sequence) or isinstance(changes, str):
        raise _no_preview("it has no list `changes`")
    found = []
    for item in changes:
        if not isinstance(item, Mapping) or not isinstance(item.get("path"), str):
            raise _no_preview("a change has no `path`")
        found.append(Change(item["path"], item.get("before"), item.get("after")))
    if len({change.path for change in found}) < len(found):
        # Two changes of one path could not be told apart when they are compared later.
        raise _no_preview("a path stands twice")
    return Preview(tuple(found), answer.get("version"), answer)


def from_read(before: Mapping[str, Any], after: Mapping[str, Any]) -> Preview:
    """Return the preview built from a read and from the values, by dotted path, that the write will leave."""
    changes = tuple(Change(path, dig(before, path), value) for path, value in after.items())
    return Preview(tuple(change for change in changes if change.before != change.after), before.get("version"), before)


def drift(approved: Preview, now: Preview, ignore: Sequence[str]) -> str | None:
    """Return the first difference between what was approved and what would happen now, or None."""
    ignored = set(ignore)
    then = {change.path: change for change in approved.changes if change.path not in ignored}
    later = {change.path: change for change in now.changes if change.path not in ignored}
    for path in sorted(then.keys() | later.keys()):
        was, new = then.get(path), later.get(path)
        if was is None:
            return f"{path} would now change too"
        if new is None:
            return f"{path} would no longer change"
        if not same(was.before, new.before) or not same(was.after, new.after):
            return f"{path} was {was.before!r} -> {was.after!r}, is now {new.before!r} -> {new.after!r}"
    if "version" not in ignored and not same(approved.version, now.version):
        return f"the target's version was {approved.version!r}, is now {now.version!r}"
    return None


def dig(value: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path, None where there is none."""
    found: Any = value
    for part in path.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found


def same(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are the same: 1 and 1.0 are, true and 1 are not, at any depth."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _no_preview(why: str) -> Malformed:
    return Malformed(
        what="The dry run gave no usable preview.",
        why=f"A preview is `{{changes: [{{path, before, after}}]}}`; {why}.",
        fix="Mend the preview tool, or its contract's `preview`.",
        code="preview.malformed",
    )

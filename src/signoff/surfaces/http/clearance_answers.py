# SPDX-License-Identifier: Apache-2.0
"""What calls about clearances answer; `answers.py` counts them among all."""

from pydantic import BaseModel


class TierRule(BaseModel):
    id: str
    tool: str
    when: str


class ClassD(BaseModel):
    """A class D tool that the page lists. `state`: `open` where its review is on record as it stands, `changed` where
    only that of another wording is, else `closed`."""

    name: str
    digest: str
    state: str
    clearance_id: str | None


class Tier(ClassD):
    """A tier of the page: the `allow` rules that name it."""

    rules: list[TierRule]


class Lifted(BaseModel):
    """A control that the page asks for and nothing keeps; under an open tier no person stands in for it either."""

    control: str
    asked_by: str
    consequence: str


class Clearance(BaseModel):
    clearance_id: str
    kind: str
    workflow: str
    name: str
    digest: str
    by: str
    at: str
    reason: str | None
    is_withdrawn: bool
    withdrawn_by: str | None
    withdrawn: str | None


class GivenClearance(Clearance):
    lifts: list[Lifted]


class Clearances(BaseModel):
    """What there is to clear in a workflow's newest page, and every clearance that was given, newest first."""

    workflow: str
    version: str
    mode: str
    tiers: list[Tier]
    class_d: list[ClassD]
    lifts: list[Lifted]
    clearances: list[Clearance]

# SPDX-License-Identifier: Apache-2.0
"""The nouns that authorise, each with its table."""

from typing import Any

from signoff.adapters.sql import tables
from signoff.adapters.sql.rows import Noun
from signoff.core.action.approval import Vote
from signoff.core.action.lifecycle import Action
from signoff.core.authority.clearance import Clearance
from signoff.core.authority.delegation import Delegation
from signoff.core.authority.halt import Halt
from signoff.core.authority.limit import Counted
from signoff.core.authority.publication import Publication
from signoff.core.principal import Agent, ApiKey, Person
from signoff.core.run import Run
from signoff.core.subject import Subject

ACTIONS = Noun(Action, tables.actions)
RUNS = Noun(Run, tables.runs)
PEOPLE = Noun(Person, tables.people)
AGENTS = Noun(Agent, tables.agents)
KEYS = Noun(ApiKey, tables.api_keys)
HALTS = Noun(Halt, tables.halts)
PUBLICATIONS = Noun(Publication, tables.publications)
CLEARANCES = Noun(Clearance, tables.clearances)
DELEGATIONS = Noun(Delegation, tables.delegations)
SUBJECTS = Noun(Subject, tables.subjects)
VOTES = Noun(Vote, tables.votes)
IMPACTS = Noun(Counted, tables.impacts)

NOUNS: dict[type, Noun[Any]] = {
    noun.kind: noun
    for noun in (
        ACTIONS,
        RUNS,
        PEOPLE,
        AGENTS,
        KEYS,
        HALTS,
        PUBLICATIONS,
        CLEARANCES,
        DELEGATIONS,
        VOTES,
        IMPACTS,
        SUBJECTS,
    )
}

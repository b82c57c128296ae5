# SPDX-License-Identifier: Apache-2.0
"""Routes of data subjects: what is kept of one, and its erasure.

A subject stands in the body and never in a path or query, since those are what servers and proxies write down.
"""

from fastapi import APIRouter, Request, Response

from signoff.app.authority import subjects
from signoff.app.world import World
from signoff.surfaces.http import answers as a
from signoff.surfaces.http import bodies as b
from signoff.surfaces.http.described import call
from signoff.surfaces.http.replies import caller_in, json_reply


def add_subjects(routes: APIRouter, world: World) -> None:
    """Add the routes of data subjects."""

    @routes.post("/v1/subjects/show", tags=["subjects"], **call(a.Subject, body=b.SubjectBody))
    async def show_a_subject(request: Request) -> Response:
        """What is kept of a subject, what an erasure would take, and what stays and why. Takes admin or auditor."""
        caller, said = caller_in(request), await b.read(request, b.SubjectBody)
        return json_reply(subjects.subject_document(await subjects.show(world, caller, said.subject)))

    @routes.post("/v1/subjects/erase", tags=["subjects"], **call(a.Subject, body=b.ErasureBody))
    async def erase_a_subject(request: Request) -> Response:
        """Destroy what is kept of a subject, for good. The log stays, and still verifies. Takes the permission admin.

        It answers once the database's files are rewritten; `scrubbed` is null where that is still owed.
        """
        caller, said = caller_in(request), await b.read(request, b.ErasureBody)
        return json_reply(subjects.subject_document(await subjects.erase(world, caller, said.subject, said.reason)))

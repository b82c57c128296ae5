# SPDX-License-Identifier: Apache-2.0
"""How each call is described in `/openapi.json`: its body, its answers, and the problems it may end in.

Answers are rendered by the use cases and not filtered through these models: within `/v1` members are only added, and
clients ignore those they do not know. `tests/surfaces/test_schemathesis.py` holds real answers against them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from signoff.surfaces.http.answers import ANSWERS
from signoff.surfaces.http.bodies import BODIES, ProposalBody
from signoff.surfaces.problems import MEDIA_TYPE

Schema = dict[str, Any]
REF: Final = "#/components/schemas/{model}"
PROBLEMS: Final = {
    400: "The request cannot be understood.",
    401: "No valid proof of who calls.",
    403: "Known, and not allowed.",
    404: "No such thing in this tenant.",
    409: "It clashes with what is recorded.",
    413: "The body is larger than 256 KiB.",
    415: "The body is not JSON.",
    422: "The body or a parameter is malformed; `path` says where.",
    500: "Unforeseen; `incident` stands in the log.",
    503: "Try again after `Retry-After` seconds; nothing was lost.",
}
ABOUT: Final = """The control plane between AI agents and the systems they change.

Every call but `/healthz` and `/readyz` takes `Authorization: Bearer` with a person's API key (`sgk_...`) or an agent's
token from `POST /v1/tokens`. Errors are RFC 9457 problem documents with `what`, `why` and `fix`.

**Repeating a call.** Beginning a run, proposing an action and engaging a halt take an `Idempotency-Key`: the same
content is answered as the first time, other content is a 409. Deciding, cancelling, resolving, undoing, completing,
pausing, resuming, lifting, publishing and withdrawing never act twice: a repeat gets the same answer, or a 409 that
says what is so already. Adding people, agents and keys makes something new each time, and refuses the header."""


def call(
    answer: type[BaseModel] | None = None,
    *,
    body: type[BaseModel] | None = None,
    status: int = 200,
    also: Mapping[int, type[BaseModel]] | None = None,
    media: str = "application/json",
    needs_body: bool = True,
) -> dict[str, Any]:
    """Return the arguments by which a route describes itself."""
    described: dict[str, Any] = {"response_model": None, "status_code": status, "responses": {}}
    described["responses"] = answers({status: answer, **(also or {})}, media)
    if body is not None:
        described["openapi_extra"] = {"requestBody": body_of(body, is_required=needs_body)}
    return described


def answers(models: Mapping[int, type[BaseModel] | None], media: str = "application/json") -> dict[int | str, Any]:
    """Return the answers of a call, its problems among them."""
    found: dict[int | str, Any] = {}
    for status, model in models.items():
        schema = _ref(model) if model is not None else {"type": "string"}
        found[status] = {
            "description": "Answer" if status != 202 else "Not there yet",
            "content": {media: {"schema": schema}},
        }
    for status, description in PROBLEMS.items():
        content = {MEDIA_TYPE: {"schema": {"$ref": REF.format(model="Problem")}}}
        found[status] = {"description": description, "content": content}
    return found


def body_of(model: type[BaseModel], *, is_required: bool = True) -> Schema:
    return {"required": is_required, "content": {"application/json": {"schema": _ref(model)}}}


def openapi(api: FastAPI, version: str) -> Schema:
    """Return the OpenAPI description, the two hot routes written in by hand."""
    made: Schema = get_openapi(
        title="Signoff", version=version, openapi_version="3.1.0", description=ABOUT, routes=api.routes
    )
    components = made.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    _, definitions = models_json_schema(
        [*((model, "validation") for model in BODIES), *((model, "validation") for model in ANSWERS)],
        ref_template=REF,
    )
    schemas |= definitions["$defs"]
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "A person's API key, or an agent's token."}
    }
    made["security"] = [{"bearer": []}]
    for path, item in _hot().items():
        made["paths"].setdefault(path, {}).update(item)
    return made


def _hot() -> Schema:
    wait = {
        "name": "wait",
        "in": "query",
        "required": False,
        "description": "Seconds to wait until the action is concluded.",
        "schema": {"type": "number", "minimum": 0, "maximum": 60, "default": 0},
    }
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^[\x21-\x7e]+$"},
    }
    return {
        "/v1/runs/{run_id}/actions": {
            "post": {
                "summary": "Propose an action",
                "description": "200: concluded. 202: it waits; read it again, or send the same call to collect it.",
                "operationId": "propose_action",
                "tags": ["actions"],
                "parameters": [_path("run_id"), wait, key],
                "requestBody": body_of(ProposalBody),
                "responses": _hot_answers((200, 202)),
            }
        },
        "/v1/actions/{action_id}": {
            "get": {
                "summary": "Read an action",
                "description": "The action document. An agent sees verdicts and reason codes, never check details.",
                "operationId": "read_action",
                "tags": ["actions"],
                "parameters": [_path("action_id"), wait],
                "responses": _hot_answers((200,)),
            }
        },
    }


def _hot_answers(statuses: Sequence[int]) -> Schema:
    from signoff.surfaces.http.answers import Action

    found = answers(dict.fromkeys(statuses, Action))
    return {str(status): answer for status, answer in found.items()}


def _path(name: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _ref(model: type[BaseModel]) -> Schema:
    return {"$ref": REF.format(model=model.__name__)}

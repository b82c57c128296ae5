# SPDX-License-Identifier: Apache-2.0
"""The client: an agent begins runs and proposes actions; a person looks at what waits, and decides.

Every call that changes something carries an idempotency key, minted once for the call and the same in each of its
attempts. So the client rides out a restart of the server, and nothing is done twice.
"""

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from signoff_sdk.documents import Action
from signoff_sdk.errors import SignoffError
from signoff_sdk.wire import Holder, Wire, json_of

WAIT_MAX_S = 30.0  # of one call; longer waits repeat it
ASK_EVERY_S = 0.25
PROMISED = 202  # HTTP: not there yet


class Client:
    """Signoff at one address, in the name of the holder of one API key.

    Args:
        url: such as `http://127.0.0.1:8470`.
        api_key: an agent's or a person's; an agent's is exchanged for short-lived tokens, renewed as needed.
        holder: whose key it is; found out by the first call where it is left out.
        patience_s: for how long a call that gets no answer is tried again.

    Example:
        >>> with Client("http://127.0.0.1:8470", key) as client:
        ...     run = client.begin("invoice_reconcile", "Post invoice 12 of Brisk Paper.")
        ...     vendor = run.propose("erp.lookup_vendor", {"name": "Brisk Paper B.V."})
        ...     run.complete("completed", f"It is {vendor.result['vendor_id']}.")
    """

    def __init__(self, url: str, api_key: str, *, holder: Holder | None = None, patience_s: float = 60.0) -> None:
        self._wire = Wire(url, api_key, holder, patience_s)
        self._url = url

    def __repr__(self) -> str:
        return f"Client({self._url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()

    # What an agent does.

    def begin(
        self,
        workflow: str,
        task: str,
        *,
        principal: str | None = None,
        environment: str | None = None,
        labels: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        delegation: str | None = None,
    ) -> "Run":
        """Begin a task under the newest envelope of its workflow.

        Args:
            delegation: under which it is begun, in the name of whoever granted it.
            idempotency_key: the same key and content, also from another process, return the run that is there already.

        Raises:
            SignoffError: no such workflow, a halt in force, another task under that key.
        """
        self._wire.expect("agent")
        body: dict[str, Any] = {"workflow": workflow, "task": task, "labels": dict(labels) if labels else None}
        body |= {"principal": principal, "environment": environment, "delegation": delegation}
        return Run(self, self._post("/v1/runs", body, idempotency_key))

    def cancel(self, action_id: str, reason: str) -> Action:
        """Withdraw an action that was not sent."""
        return Action(self._post(f"/v1/actions/{_part(action_id)}/cancel", {"reason": reason}))

    # What agents and people read.

    def action(self, action_id: str, *, wait: float = 0.0) -> Action:
        """Return an action, once it is concluded or `wait` seconds have passed, whichever is first."""
        deadline = time.monotonic() + wait
        while True:
            asked_at = time.monotonic()
            wait_s = max(0.0, min(WAIT_MAX_S, deadline - asked_at))
            path, params = f"/v1/actions/{_part(action_id)}", {"wait": f"{wait_s:.3f}"} if wait_s else None
            action = Action(json_of(self._wire.call("GET", path, params=params, wait_s=wait_s)))
            if action.is_concluded or time.monotonic() >= deadline:
                return action
            # A server that is about to stop answers early; asking it at once again would be a storm.
            time.sleep(max(0.0, min(ASK_EVERY_S, deadline - asked_at) - (time.monotonic() - asked_at)))

    def run(self, run_id: str) -> "Run":
        """Return a run, with its actions in brief in `document`."""
        return Run(self, self._get(f"/v1/runs/{_part(run_id)}"))

    def timeline(self, run_id: str) -> list[Mapping[str, Any]]:
        """Return what happened in a run, in order; for people."""
        self._wire.expect("person")
        return list(self._get(f"/v1/runs/{_part(run_id)}/timeline").get("items", []))

    def undo(self, action_id: str, *, idempotency_key: str | None = None) -> Action:
        """Ask for the reversal of an action, and return that: an action of its own, governed like any.

        Raises:
            SignoffError: it cannot be undone, or is being undone already.
        """
        return Action(self._post(f"/v1/actions/{_part(action_id)}/undo", {}, idempotency_key))

    def receipt(self, receipt_id: str) -> bytes:
        """Return a receipt's canonical bytes, as `signoff verify` takes them; waits while it is being signed.

        Raises:
            SignoffError: no such receipt, or `receipt.unsigned` where it is not signed within the client's patience.
        """
        until = time.monotonic() + self._wire.patience_s
        while (answer := self._wire.call("GET", f"/v1/receipts/{_part(receipt_id)}")).status_code == PROMISED:
            if time.monotonic() >= until:
                raise SignoffError(
                    what="The receipt is not signed yet.",
                    why=f"Receipt {receipt_id} is promised, and its signature is late.",
                    fix="Ask again; if it stays so, tell the operator.",
                    code="receipt.unsigned",
                    status=PROMISED,
                )
            time.sleep(ASK_EVERY_S)
        return answer.content

    # What a person does.

    def inbox(self, role: str | None = None, state: str = "pending_approval") -> Iterator[Mapping[str, Any]]:
        """Yield what waits for a decision, in brief; look at the whole action before deciding.

        Example:
            >>> for item in client.inbox(role="FinanceAdmin"):
            ...     action = client.action(item["action_id"])
            ...     client.approve(action, action.digest, "It matches its purchase order.")
        """
        self._wire.expect("person")
        cursor: object = None
        while True:
            asked = {"state": state, "role": role, "cursor": cursor}
            params = {name: str(value) for name, value in asked.items() if value}
            page = json_of(self._wire.call("GET", "/v1/approvals", params=params))
            yield from page.get("items", [])
            cursor = page.get("next_cursor")
            if not cursor:
                return

    def approve(self, action: Action | str, digest: str, reason: str = "") -> Action:
        """Say yes to exactly what was seen.

        Args:
            action: the action, or the id of its approval.
            digest: of the document that was looked at.

        Raises:
            SignoffError: `approval.digest_mismatch` where something else waits by now, and other reasons.
        """
        return self._decide(action, {"decision": "approve", "digest": digest, "reason": reason})

    def reject(self, action: Action | str, digest: str, reason: str) -> Action:
        """Say no to what was seen; one no is enough, and the reason is told to whoever asked."""
        return self._decide(action, {"decision": "reject", "digest": digest, "reason": reason})

    def edit(self, action: Action | str, digest: str, args: Mapping[str, Any], reason: str) -> Action:
        """Change the arguments of what was seen: decided and previewed anew, under a new digest, all votes void."""
        return self._decide(action, {"decision": "edit", "digest": digest, "args": dict(args), "reason": reason})

    def undo_run(self, run_id: str, *, idempotency_key: str | None = None) -> Mapping[str, Any]:
        """Ask for the reversal of everything a run wrote, newest first; the answer says what was left, and why."""
        return self._post(f"/v1/runs/{_part(run_id)}/undo", {}, idempotency_key)

    def halt(self, scope: str, reason: str, *, stop_undo: bool = False) -> Mapping[str, Any]:
        """Stop everything of a scope that was not sent; the answer shows what is in flight.

        Args:
            scope: `tenant`, `workflow:NAME`, `agent:ID` or `tool:NAME`.
        """
        self._wire.expect("person")
        body = {"scope": scope, "reason": reason, "stop_undo": stop_undo or None}
        return self._post("/v1/halts", body)

    def lift(self, halt_id: str) -> Mapping[str, Any]:
        """Lift a halt; what it stopped stays stopped."""
        self._wire.expect("person")
        return self._post(f"/v1/halts/{_part(halt_id)}/lift", {})

    def _decide(self, action: Action | str, body: Mapping[str, Any]) -> Action:
        self._wire.expect("person")
        approval_id = action.approval_id if isinstance(action, Action) else action
        return Action(self._post(f"/v1/approvals/{_part(approval_id)}", body))

    def _get(self, path: str) -> dict[str, Any]:
        return json_of(self._wire.call("GET", path))

    def _post(
        self,
        path: str,
        body: Mapping[str, Any],
        idempotency_key: str | None = None,
        *,
        params: Mapping[str, str] | None = None,
        wait_s: float = 0.0,
    ) -> dict[str, Any]:
        sent = {name: value for name, value in body.items() if value is not None}
        key = idempotency_key or str(uuid.uuid4())
        return json_of(self._wire.call("POST", path, sent, params=params, key=key, wait_s=wait_s))


@dataclass(frozen=True, slots=True)
class Run:
    """A task of an agent; its actions are proposed here."""

    client: Client
    document: Mapping[str, Any]

    @property
    def run_id(self) -> str:
        return str(self.document["run_id"])

    @property
    def state(self) -> str:
        """As it was when this document was read."""
        return str(self.document.get("state", "open"))

    def propose(
        self,
        tool: str,
        args: Mapping[str, Any],
        *,
        rationale: str | None = None,
        confidence: float | None = None,
        citations: Sequence[Any] | None = None,
        again: bool = False,
        wait: float | None = 30.0,
        idempotency_key: str | None = None,
    ) -> Action:
        """Propose a tool call, and return the action once it is concluded or `wait` seconds have passed.

        Args:
            citations: for claims of a kind that the envelope lists: `{"read": ACTION, "quote": TEXT}` each, of a read
                of this run, and `"kind"` where one serves that kind alone.
            again: mean a second, equal write; without it the same write in one run is the same action.
            wait: seconds; None waits until it is concluded, however long people take; 0 does not wait.
            idempotency_key: the same key and content, also from another process, return the action that is there.

        Raises:
            SignoffError: the call was not taken. A "no" of policy or people is no error: see `Action.refusal`.

        Example:
            >>> entry = run.propose("erp.create_journal_entry", args, rationale="It matches PO-7001.", wait=None)
            >>> entry.state
            'succeeded'
        """
        deadline = float("inf") if wait is None else time.monotonic() + wait
        wait_s = max(0.0, min(WAIT_MAX_S, deadline - time.monotonic()))
        body: dict[str, Any] = {"tool": tool, "args": dict(args), "rationale": rationale, "confidence": confidence}
        body |= {"citations": list(citations) if citations is not None else None, "again": again or None}
        action = Action(
            self.client._post(
                f"/v1/runs/{_part(self.run_id)}/actions",
                body,
                idempotency_key,
                params={"wait": f"{wait_s:.3f}"} if wait_s else None,
                wait_s=wait_s,
            )
        )
        if action.is_concluded or time.monotonic() >= deadline:
            return action
        return self.client.action(action.action_id, wait=deadline - time.monotonic())

    def complete(self, outcome: str, summary: str, *, idempotency_key: str | None = None) -> "Run":
        """Close the run as `completed` or `failed`, saying what came of the task.

        Raises:
            SignoffError: it is closed otherwise, or some of its actions are not concluded.
        """
        path = f"/v1/runs/{_part(self.run_id)}/complete"
        return Run(self.client, self.client._post(path, {"outcome": outcome, "summary": summary}, idempotency_key))

    def refresh(self) -> "Run":
        """Return the run as it is now."""
        return self.client.run(self.run_id)


def _part(text: str) -> str:
    return quote(text, safe="")

# SPDX-License-Identifier: Apache-2.0
"""Read one tool of a contract file: its keys, its expressions, and what they must agree on (contract, section 2).

A preview, look-up or check names a read of the same file, an undo names a write. `key` exists only where Signoff puts
one in, `preview` only where there is one: an expression that names what is not there does not load.
"""

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Final

from signoff.core.authority.description import ToolDescription
from signoff.core.authority.page import Node, quoted
from signoff.core.authority.reading import Reader
from signoff.core.authority.rule import Expression, Names, typed_fields
from signoff.core.authority.sweep import SINCE, Sweep, names_of_item
from signoff.core.authority.tool import (
    DryRun,
    Effect,
    LookUp,
    OutputTrust,
    Precondition,
    ReadPreview,
    Reversibility,
    Risk,
    ToolContract,
    Undo,
    UndoCheck,
)

KEYS: Final = (
    "name", "effect", "risk", "reversibility", "reversal_note", "schema_digest", "resource", "idempotency", "not_done",
    "preview", "precondition", "look_up", "undo", "sweep", "output", "subject", "cost", "timeout",
)  # fmt: skip
WRITES_ONLY: Final = (
    "reversibility", "reversal_note", "idempotency", "not_done", "precondition", "look_up", "undo", "sweep",
)  # fmt: skip
COST_MAX: Final = 1_000_000_000_000
TIMEOUT_DEFAULT_US: Final = 10_000_000


class ToolReader:
    """Reads one tool; it knows the other tools' effects and schemas, which its expressions and names refer to."""

    def __init__(
        self,
        reader: Reader,
        name: str,
        node: Node,
        effects: Mapping[str, Effect | None],
        described: Mapping[str, ToolDescription | None],
    ) -> None:
        self.reader, self.name, self.node, self.effects, self.described = reader, name, node, effects, described
        self.where = f"tools.{name}"
        self.has_key = self.has_preview = False
        self.put_in: set[str] = set()
        self.fields = reader.fields(node, self.where, KEYS, required=("effect",))
        self.effect = Effect(
            reader.word(self.fields.get("effect"), f"{self.where}.effect", tuple(Effect), Effect.WRITE)
        )

    def read(self) -> ToolContract:
        reader, fields, where = self.reader, self.fields, self.where
        self._note_what_is_put_in()
        self._refuse_what_has_no_meaning()
        key_argument, natural_key, keeps_us = self._idempotency()
        self.has_key = key_argument is not None
        preview = self._preview()
        self.has_preview = "preview" in fields
        look_up, undo = self._look_up(), self._undo()
        default_risk = Risk.A if self.effect is Effect.READ else Risk.C
        contract = ToolContract(
            name=self.name,
            server_name=reader.text(fields.get("name"), f"{where}.name", self.name),
            effect=self.effect,
            risk=Risk(reader.word(fields.get("risk"), f"{where}.risk", tuple(Risk), default_risk)),
            reversibility=self._reversibility(undo),
            reversal_note=reader.text(fields.get("reversal_note"), f"{where}.reversal_note", ""),
            schema_digest=self._digest(),
            resource=reader.expression(fields.get("resource"), f"{where}.resource", self._names("args"), ("string",)),
            key_argument=key_argument,
            natural_key=natural_key,
            keeps_us=keeps_us,
            not_done=frozenset(reader.texts(fields.get("not_done"), f"{where}.not_done", names=False)),
            preview=preview,
            precondition=self._precondition(),
            look_up=look_up,
            undo=undo,
            output=self._output(),
            subject=reader.expression(fields.get("subject"), f"{where}.subject", self._names("args"), ("string",)),
            cost_usd_micros=self._cost(),
            timeout_s=reader.duration(fields.get("timeout"), f"{where}.timeout", "100ms", "10m", TIMEOUT_DEFAULT_US)
            / 1_000_000,
            sweep=self._sweep(),
        )
        self._tell_what_doubt_means(contract)
        return contract

    def _names(self, *roots: str, result_of: str | None = None) -> Names:
        """Return the names an expression may use; typed where a schema is known.

        `result_of` is the tool whose answer `result` is, this tool's own if it is not given.
        """
        plain: list[str] = []
        typed: list[tuple[str, str]] = []
        for root in roots:
            if (root == "key" and not self.has_key) or (root == "preview" and not self.has_preview):
                continue
            schema = None
            if root == "args" and (own := self.described.get(self.name)):
                schema = own.input_schema
            elif root == "result" and (other := self.described.get(result_of or self.name)):
                schema = other.output_schema
            fields = typed_fields(root, schema) if schema is not None else None
            if fields is None:
                plain.append(root)
            else:
                typed.extend(field for field in fields if field[0] not in self.put_in)
        return Names(tuple(plain), tuple(typed))

    def _note_what_is_put_in(self) -> None:
        """Note the arguments that Signoff fills itself: no expression sees them, as they come after all others."""
        for name in ("idempotency", "precondition"):
            node = self.fields.get(name)
            for key, value in node.pairs if node is not None else ():
                if key.text == "argument" and value.kind == "scalar":
                    self.put_in.add(f"args.{value.text}")

    def _refuse_what_has_no_meaning(self) -> None:
        if self.effect is Effect.WRITE:
            return
        for name in (*WRITES_ONLY, *(("preview",) if self.effect is Effect.READ else ())):
            if name in self.fields:
                self.reader.error(
                    self.fields[name],
                    "contract.no_meaning",
                    f"`{self.where}.{name}` has no meaning on a {self.effect}.",
                    "Only a write can be previewed, doubted, looked up or undone."
                    if self.effect is Effect.READ
                    else "An egress leaves no record at the target, so nothing can be looked up or taken back.",
                    "Remove it; or, if the tool changes something, say `effect: write`.",
                )

    def _reversibility(self, undo: Undo | None) -> Reversibility:
        """Return how the effect is taken back; a write that does not say is taken for irreversible."""
        fields, where = self.fields, self.where
        if self.effect is not Effect.WRITE:
            return "reversible" if self.effect is Effect.READ else "irreversible"
        node = fields.get("reversibility")
        if node is None:
            self.reader.warn(
                self.node,
                "contract.no_way_back",
                f"Nobody said how `{self.name}` is taken back.",
                "It is treated as irreversible, and an envelope in which it does not ask will not load.",
                "Add `reversibility: reversible` with `undo`, or `manual` with a `reversal_note`.",
            )
            return "irreversible"
        value = self.reader.word(node, f"{where}.reversibility", ("reversible", "manual", "irreversible"))
        if value == "reversible" and undo is None and "undo" not in fields:
            self.reader.error(
                node,
                "contract.no_undo",
                f"`{self.name}` is called reversible and has no `undo`.",
                "Approvers would be promised a way back that nobody can go.",
                "Add `undo: {tool: ..., args: {...}}`, or say `manual` and who does what in `reversal_note`.",
            )
        if value in ("manual", "irreversible") and "reversal_note" not in fields:
            self.reader.error(
                node,
                "contract.no_reversal_note",
                f"`{self.name}` is {value} and has no `reversal_note`.",
                "Whoever approves must know who would do what afterwards.",
                'Add `reversal_note: "Finance calls the bank before 16:00"`.',
            )
        if value in ("manual", "irreversible") and "undo" in fields:
            self.reader.error(
                fields["undo"],
                "contract.no_meaning",
                f"`{self.name}` is {value} and has an `undo`.",
                "Only a reversible write is undone by a call.",
                "Say `reversibility: reversible`, or remove `undo`.",
            )
        if value == "manual":
            return "manual"
        return "reversible" if value == "reversible" else "irreversible"

    def _digest(self) -> str | None:
        node = self.fields.get("schema_digest")
        text = self.reader.text(node, f"{self.where}.schema_digest")
        if text is not None and node is not None and not re.fullmatch(r"sha256:[0-9a-f]{64}", text):
            self.reader.error(
                node,
                "contract.digest",
                f"`{self.where}.schema_digest` is no digest.",
                "It is `sha256:` and 64 lower-case hexadecimal digits.",
                "Copy it from `signoff tools discover`, or leave it out until the tool was seen.",
            )
            return None
        return text

    def _idempotency(self) -> tuple[str | None, tuple[Expression, ...], int | None]:
        where = f"{self.where}.idempotency"
        node = self.fields.get("idempotency")
        if node is None or (node.kind == "scalar" and node.text == "none"):
            return None, (), None
        fields = self.reader.fields(node, where, ("argument", "natural_key", "keeps"))
        if node.kind == "map" and ("argument" in fields) == ("natural_key" in fields):
            self.reader.error(
                node,
                "contract.idempotency",
                f"`{where}` takes either `argument` or `natural_key`.",
                "One write per key is known by one of them.",
                "Write `{argument: idempotency_key, keeps: 30d}`, `{natural_key: [args.invoice_no]}` or `none`.",
            )
        argument = self.reader.name(fields.get("argument"), f"{where}.argument")
        keeps_us = self.reader.duration(fields.get("keeps"), f"{where}.keeps", "1m", "3650d")
        if "argument" in fields and "keeps" not in fields:
            self.reader.error(
                node,
                "contract.keeps",
                f"`{where}` does not say how long the target keeps a key.",
                "Nothing is sent again after that, as it would be written twice.",
                "Add `keeps: 30d`.",
            )
        if "keeps" in fields and "argument" not in fields:
            self.reader.error(
                fields["keeps"],
                "contract.no_meaning",
                f"`{where}.keeps` has no meaning without `argument`.",
                "A natural key is the target's own and is never sent again.",
                "Remove it.",
            )
        self._check_argument(fields.get("argument"), argument, f"{where}.argument")
        natural = fields.get("natural_key")
        if natural is not None and (natural.kind != "list" or not natural.items):
            self.reader.wrong(
                natural, f"{where}.natural_key", "a list of CEL expressions", "Write `[args.invoice_no]`."
            )
            natural = None
        parts = [
            self.reader.expression(item, f"{where}.natural_key[{index}]", self._names("args"))
            for index, item in enumerate(natural.items if natural is not None else ())
        ]
        return argument, tuple(part for part in parts if part is not None), keeps_us

    def _preview(self) -> DryRun | ReadPreview | None:
        node, where = self.fields.get("preview"), f"{self.where}.preview"
        if node is None:
            return None
        fields = self.reader.fields(node, where, ("tool", "read", "args", "after", "ignore"))
        ignore = self.reader.texts(fields.get("ignore"), f"{where}.ignore", names=False)
        if node.kind == "map" and ("tool" in fields) == ("read" in fields):
            self.reader.error(
                node,
                "contract.preview",
                f"`{where}` takes either `tool` (a dry run) or `read` with `after`.",
                "A change set comes from one of them.",
                "Write `{tool: erp.preview_entry, args: {...}}`, or `{read: ..., args: {...}, after: {...}}`.",
            )
            return None
        if "read" in fields:
            read = self._named(fields["read"], f"{where}.read", Effect.READ)
            after_node = fields.get("after")
            if after_node is None or (after_node.kind == "map" and not after_node.pairs):
                self.reader.error(
                    after_node or node,
                    "contract.preview",
                    f"`{where}` does not say what will be `after`.",
                    "A read shows only what is there before.",
                    "Add `after: {status: \"'posted'\"}`.",
                )
            after = self.reader.expressions(after_node, f"{where}.after", self._names("args", "result", result_of=read))
            args = self._args(fields.get("args"), f"{where}.args", self._names("args"), read)
            return ReadPreview(read, args, after, ignore) if read else None
        if "after" in fields:
            self.reader.error(
                fields["after"],
                "contract.no_meaning",
                f"`{where}.after` has no meaning on a dry run.",
                "The dry-run tool itself answers before and after.",
                "Remove it, or preview by `read`.",
            )
        tool = self._named(fields.get("tool"), f"{where}.tool", Effect.READ)
        args = self._args(fields.get("args"), f"{where}.args", self._names("args"), tool)
        return DryRun(tool, args, ignore) if tool else None

    def _precondition(self) -> Precondition | None:
        node, where = self.fields.get("precondition"), f"{self.where}.precondition"
        fields = self.reader.fields(node, where, ("argument", "value"), required=("argument", "value"))
        argument = self.reader.name(fields.get("argument"), f"{where}.argument")
        self._check_argument(fields.get("argument"), argument, f"{where}.argument")
        value = self.reader.expression(fields.get("value"), f"{where}.value", self._names("args", "preview"))
        return Precondition(argument, value) if argument and value else None

    def _look_up(self) -> LookUp | None:
        node, where = self.fields.get("look_up"), f"{self.where}.look_up"
        fields = self.reader.fields(
            node, where, ("tool", "args", "found", "settles_after"), required=("tool", "found", "settles_after")
        )
        tool = self._named(fields.get("tool"), f"{where}.tool", Effect.READ)
        args = self._args(fields.get("args"), f"{where}.args", self._names("args", "key"), tool)
        found = self.reader.expression(
            fields.get("found"),
            f"{where}.found",
            self._names("args", "key", "result", result_of=tool),
            ("bool",),
        )
        settles_us = self.reader.duration(fields.get("settles_after"), f"{where}.settles_after", "1s", "30d")
        return LookUp(tool, args, found, settles_us) if tool and found and settles_us else None

    def _undo(self) -> Undo | None:
        node, where = self.fields.get("undo"), f"{self.where}.undo"
        fields = self.reader.fields(node, where, ("tool", "args", "check"), required=("tool", "args"))
        tool = self._named(fields.get("tool"), f"{where}.tool", Effect.WRITE)
        names = self._names("args", "key", "preview", "result")
        args = self._args(fields.get("args"), f"{where}.args", names, tool)
        check = None
        if (check_node := fields.get("check")) is not None:
            at = f"{where}.check"
            inner = self.reader.fields(check_node, at, ("read", "args", "unchanged"), required=("read", "unchanged"))
            read = self._named(inner.get("read"), f"{at}.read", Effect.READ)
            check_args = self._args(inner.get("args"), f"{at}.args", names, read)
            unchanged = self.reader.texts(inner.get("unchanged"), f"{at}.unchanged", names=False)
            if (listed := inner.get("unchanged")) is not None and listed.kind == "list" and not listed.items:
                self.reader.wrong(listed, f"{at}.unchanged", "at least one field", "Name the fields: `[status]`.")
            check = UndoCheck(read, check_args, unchanged) if read else None
        return Undo(tool, args, check) if tool else None

    def _sweep(self) -> Sweep | None:
        """Return how this tool's writes are listed; only a key that Signoff puts in tells whose one is."""
        node, where = self.fields.get("sweep"), f"{self.where}.sweep"
        needed = ("tool", "items", "key")
        fields = self.reader.fields(node, where, ("tool", "args", "items", "key"), required=needed)
        if node is not None and not self.has_key:
            self.reader.error(
                node,
                "contract.no_meaning",
                f"`{where}` has no meaning without `idempotency.argument`.",
                "A write that is listed is known by the key that Signoff put in, and here it puts in none.",
                "Add `idempotency: {argument: ..., keeps: 30d}`, or remove it.",
            )
        tool = self._named(fields.get("tool"), f"{where}.tool", Effect.READ)
        args = self._args(fields.get("args"), f"{where}.args", SINCE, tool)
        over = self._names("result", result_of=tool)
        items = self.reader.expression(fields.get("items"), f"{where}.items", over, ("list",))
        listing = self.described.get(tool) if tool else None
        item = names_of_item(items.text if items else "", listing.output_schema if listing else None)
        key = self.reader.expression(fields.get("key"), f"{where}.key", item, ("string",))
        return Sweep(tool, args, items, key) if tool and items and key else None

    def _output(self) -> OutputTrust:
        where = f"{self.where}.output"
        fields = self.reader.fields(self.fields.get("output"), where, ("trust",), required=("trust",))
        trust = fields.get("trust")
        words = ("trusted", "untrusted")
        if trust is None or trust.kind != "map":
            return OutputTrust(self.reader.word(trust, f"{where}.trust", words) == "trusted")
        by_field = {
            key.text: self.reader.word(value, f"{where}.trust.{key.text}", words) == "trusted"
            for key, value in trust.pairs
        }
        return OutputTrust(False, by_field)

    def _cost(self) -> int:
        where = f"{self.where}.cost"
        fields = self.reader.fields(self.fields.get("cost"), where, ("usd",), required=("usd",))
        return self.reader.money(fields.get("usd"), f"{where}.usd", COST_MAX, 0)

    def _args(self, node: Node | None, where: str, names: Names, tool: str | None) -> Mapping[str, Expression]:
        """Return the arguments of a call that Signoff makes itself, checked against the called tool's schema."""
        args = self.reader.expressions(node, where, names)
        called = self.described.get(tool) if tool else None
        if called is not None and node is not None and node.kind == "map":
            known = properties_of(called)
            for key, _ in node.pairs:
                self._check_property(key, key.text, known, where)
        return args

    def _check_argument(self, node: Node | None, argument: str | None, where: str) -> None:
        """Find an argument of this tool that its schema does not have."""
        own = self.described.get(self.name)
        if node is not None and argument is not None and own is not None:
            self._check_property(node, argument, properties_of(own), where)

    def _check_property(self, node: Node, name: str, known: Collection[str] | None, where: str) -> None:
        if known is None or name in known:
            return
        near = get_close_matches(name, known, 1)
        self.reader.error(
            node,
            "contract.argument",
            f"`{where}`: the tool has no argument {quoted(name)}.",
            "Its schema lists others.",
            f"Did you mean `{near[0]}`?" if near else f"Known: {', '.join(sorted(known)[:12])}.",
        )

    def _named(self, node: Node | None, where: str, wanted: Effect) -> str | None:
        """Return the name of another tool of this file that has the wanted effect."""
        name = self.reader.name(node, where)
        if name is None or node is None:
            return None
        if name not in self.effects:
            near = get_close_matches(name, self.effects, 1)
            self.reader.error(
                node,
                "contract.unknown_tool",
                f"`{where}` names {quoted(name)}, which this file does not describe.",
                "It could be anything, a write too.",
                f"Did you mean `{near[0]}`?" if near else f"Add it under `tools`, with `effect: {wanted}`.",
            )
            return None
        effect = self.effects[name]
        if effect is not None and effect is not wanted:
            self.reader.error(
                node,
                "contract.effect",
                f"`{where}` names {quoted(name)}, which is a {effect}.",
                "What is called to look must change nothing."
                if wanted is Effect.READ
                else "Only a write can take something back.",
                f"Name a tool with `effect: {wanted}`.",
            )
            return None
        if wanted is Effect.WRITE and name == self.name:
            self.reader.error(
                node,
                "contract.effect",
                f"`{where}` names the tool itself.",
                "Doing it twice does not undo it.",
                "Name the tool that compensates.",
            )
            return None
        return name

    def _tell_what_doubt_means(self, contract: ToolContract) -> None:
        """Warn of writes whose doubt no machine can settle."""
        if contract.effect is not Effect.WRITE:
            return
        has_key = contract.key_argument is not None or bool(contract.natural_key)
        at = self.node
        if "look_up" not in self.fields:
            self.reader.warn(
                at,
                "contract.no_look_up",
                f"`{self.name}` has no `look_up`.",
                "After a lost answer nobody can tell whether it was written, so that a person must find out."
                if has_key
                else "It has no key either: a lost answer means a person looks, and nothing keeps a second proposal"
                " from writing again.",
                "Add `look_up`, and `idempotency` if the target can keep a key.",
            )
        elif not has_key:
            self.reader.warn(
                at,
                "contract.no_key",
                f"`{self.name}` has no `idempotency`.",
                "Its look-up may find another's write as its own, and what is proved absent is not sent again.",
                "Add `idempotency: {argument: ..., keeps: 30d}` or `{natural_key: [...]}`.",
            )
        elif (
            contract.look_up
            and contract.keeps_us is not None
            and contract.keeps_us <= contract.look_up.settles_after_us
        ):
            self.reader.warn(
                self.fields["idempotency"],
                "contract.keeps",
                f"`{self.name}` forgets its key before doubt can settle.",
                "Nothing is sent again after `keeps`, so that a write proved absent then just fails.",
                "Make `keeps` longer than `settles_after`, if the target allows it.",
            )


def properties_of(described: ToolDescription) -> Collection[str] | None:
    """Return the arguments a tool's schema lists, or None if it takes others too."""
    schema = described.input_schema
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or schema.get("additionalProperties") not in (None, False):
        return None
    if any(word in schema for word in ("$ref", "allOf", "anyOf", "oneOf", "if", "patternProperties")):
        return None
    return [name for name in properties if isinstance(name, str)]

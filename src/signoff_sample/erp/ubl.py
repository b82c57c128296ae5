# SPDX-License-Identifier: Apache-2.0
"""Read UBL 2.1 invoices and credit notes (Peppol BIS Billing 3.0), written by anyone.

The file is hostile until it is read: at most 1 MiB and 32 levels, UTF-8 only, no document type, no entities, nothing
fetched. Sums that do not add up are no reason to refuse a document; they are `findings`, for whoever decides.
"""

import re
from dataclasses import dataclass
from datetime import date
from typing import Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from signoff_sample.erp.currency import MINOR_DIGITS, as_amount, to_cents
from signoff_sample.erp.store import Store, Tx, name_key, number_key

BYTES_MAX, DEPTH_MAX, ELEMENTS_MAX = 1 << 20, 32, 50_000
NAME_MAX, NOTE_MAX, LINES_SHOWN = 200, 20_000, 50
_UBL = "urn:oasis:names:specification:ubl:schema:xsd:"
_SPACES = {"cac": f"{_UBL}CommonAggregateComponents-2", "cbc": f"{_UBL}CommonBasicComponents-2"}
_ROOTS = {f"{{{_UBL}Invoice-2}}Invoice": "invoice", f"{{{_UBL}CreditNote-2}}CreditNote": "credit_note"}
_ENCODING = re.compile(rb"<\?xml[^>]*?\bencoding\s*=\s*[\"']([A-Za-z0-9._-]+)[\"']")
_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(Z|[+-]\d{2}:\d{2})?", re.ASCII)  # xsd:date may carry a zone


class NoInvoice(ValueError):
    """The bytes are no invoice and no credit note; `what`, `why` and `fix` are for people."""

    def __init__(self, code: str, why: str, fix: str, what: str = "This file cannot be read as an invoice.") -> None:
        super().__init__(f"{what} {why} {fix}")
        self.code, self.what, self.why, self.fix = code, what, why, fix


@dataclass(frozen=True, slots=True)
class Line:
    """One line; `quantity` is text with its unit code, `net_cents` may be negative."""

    name: str
    quantity: str
    net_cents: int


@dataclass(frozen=True, slots=True)
class Document:
    """An invoice or credit note; amounts in minor units and with the signs of the file."""

    kind: str
    number: str
    issue_date: str
    due_date: str
    supplier: str
    supplier_tax_id: str
    buyer: str
    currency: str
    order_reference: str
    payable_cents: int
    tax_cents: int
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    iban: str
    findings: tuple[str, ...] = ()

    @property
    def booked_cents(self) -> int:
        """What the journal takes: a credit note counts against the supplier."""
        return -self.payable_cents if self.kind == "credit_note" else self.payable_cents


def read_ubl(data: bytes) -> Document:
    """Return the document in `data`.

    Raises:
        NoInvoice: it is none, or breaks a bound; the code names the reason.
    """
    root = _parse(data)
    kind = _ROOTS.get(root.tag)
    if kind is None:
        raise NoInvoice(
            "ubl.root", "Its root is no Invoice and no CreditNote of UBL 2.", "Give a UBL 2.1 Invoice or CreditNote."
        )
    if kind == "invoice" and _text(root, "cbc:InvoiceTypeCode") == "381":
        raise NoInvoice("ubl.type", "It is an Invoice of type 381, a credit.", "Send it as a UBL CreditNote.")
    currency = _text(root, "cbc:DocumentCurrencyCode", needed=True)
    if currency not in MINOR_DIGITS:
        raise NoInvoice(
            "ubl.currency", "Its DocumentCurrencyCode is no currency of ISO 4217 in use.", "Name one, such as EUR."
        )
    payable = _cents(root, "cac:LegalMonetaryTotal/cbc:PayableAmount", currency, needed=True)
    assert payable is not None, "needed"
    lines = _lines(root, kind, currency)
    return Document(
        kind=kind,
        number=_text(root, "cbc:ID", needed=True),
        issue_date=_date(root, "cbc:IssueDate", needed=True),
        due_date=_date(root, "cbc:DueDate") or _date(root, "cac:PaymentMeans/cbc:PaymentDueDate"),
        supplier=_party(root, "cac:AccountingSupplierParty", needed=True),
        supplier_tax_id=_tax_id(root),
        buyer=_party(root, "cac:AccountingCustomerParty"),
        currency=currency,
        order_reference=_text(root, "cac:OrderReference/cbc:ID"),
        payable_cents=payable,
        tax_cents=_tax(root, currency),
        lines=lines,
        notes=_notes(root),
        iban=_text(root, "cac:PaymentMeans/cac:PayeeFinancialAccount/cbc:ID").replace(" ", "").upper(),
        findings=_findings(root, currency, payable, lines),
    )


def as_text(document: Document, *, with_notes: bool = True) -> str:
    """Return the document as the plain text that a person would hand to an agent as its task.

    Args:
        with_notes: without them the task is what the person says alone, and the sender's words stay in the ERP.
    """
    credit = document.kind == "credit_note"
    rows = [
        ("CREDIT NOTE" if credit else "INVOICE", document.number),
        ("Supplier", document.supplier),
        ("Supplier tax id", document.supplier_tax_id),
        ("Buyer", document.buyer),
        ("Issued", document.issue_date),
        ("Due", document.due_date),
        ("Purchase order", document.order_reference),
        ("IBAN", document.iban),
    ]
    text = [f"{label}: {value}" for label, value in rows if value] + ["Lines:"]
    text += [
        f"  {line.quantity} x {line.name}: {as_amount(line.net_cents, document.currency)}"
        for line in document.lines[:LINES_SHOWN]
    ]
    if (more := len(document.lines) - LINES_SHOWN) > 0:
        text.append(f"  and {more} more lines")
    text.append(f"Tax: {as_amount(document.tax_cents, document.currency)}")
    label = "Amount credited" if credit else "Amount payable"
    text.append(f"{label}: {as_amount(document.payable_cents, document.currency)}")
    text.append(f"To book (amount_cents): {document.booked_cents}")
    text.append(f"Currency: {document.currency}")
    text += [f"Finding: {finding}" for finding in document.findings]
    # Each line of a note is marked as one, so that its sender cannot write a line that looks like ours.
    text += [f"Note: {line}" for note in document.notes if with_notes for line in note.splitlines()]
    return "\n".join(text) + "\n"


def register(store: Store, document: Document) -> str:
    """Book the document as received (status open) and return its vendor's number.

    The vendor is found by tax id, else by name where neither side's tax id speaks against it, else made: unknown,
    its account unverified. The same document again changes nothing.

    Raises:
        NoInvoice: the vendor sent another document under that number.
    """
    with store.writing() as tx:
        vendor_id = _vendor_id(tx, document)
        row = {
            "vendor_id": vendor_id,
            "invoice_no": document.number,
            "kind": document.kind,
            "issue_date": document.issue_date,
            "due_date": document.due_date,
            "payable_cents": document.booked_cents,
            "currency": document.currency,
            "po_number": document.order_reference,
            "iban": document.iban,
            "note": "\n".join(document.notes),
            "sums_agree": int(not document.findings),
            "number_key": number_key(document.number),
        }
        earlier = tx.one("SELECT * FROM invoices WHERE vendor_id = ? AND invoice_no = ?", vendor_id, document.number)
        if earlier is None:
            tx.insert("invoices", row | {"status": "open"})
        elif differing := [name for name, value in row.items() if earlier[name] != value]:
            raise NoInvoice(
                "ubl.number_reused",
                f"The vendor sent another document under that number; {differing[0]} differs.",
                "Ask the vendor for a document with a number of its own.",
                "This document was not registered.",
            )
        if document.iban:
            tx.run("INSERT OR IGNORE INTO bank_accounts VALUES (?, ?, 0)", vendor_id, document.iban)
    return vendor_id


def _vendor_id(tx: Tx, document: Document) -> str:
    if document.supplier_tax_id:
        row = tx.one("SELECT vendor_id FROM vendors WHERE tax_id = ?", document.supplier_tax_id)
    else:
        row = None
    if row is None:
        row = tx.one(
            "SELECT vendor_id FROM vendors WHERE name_key = ? AND (tax_id = '' OR ? = '') ORDER BY known DESC",
            name_key(document.supplier),
            document.supplier_tax_id,
        )
    if row is not None:
        return str(row["vendor_id"])
    vendor_id = tx.next_id("V")
    tx.insert(
        "vendors",
        {"vendor_id": vendor_id, "name": document.supplier, "name_key": name_key(document.supplier)}
        | {"tax_id": document.supplier_tax_id, "currency": document.currency, "known": 0},
    )
    return vendor_id


class _Bounded:
    """A tree builder that stops at too many levels or elements, before they cost anything."""

    def __init__(self) -> None:
        self._builder, self._depth, self._elements = TreeBuilder(), 0, 0

    def start(self, tag: str, attributes: dict[str, str]) -> Any:
        self._depth += 1
        self._elements += 1
        if self._depth > DEPTH_MAX:
            raise NoInvoice("ubl.deep", f"It nests more than {DEPTH_MAX} levels.", "No invoice does; ask for another.")
        if self._elements > ELEMENTS_MAX:
            raise NoInvoice("ubl.large", f"It has more than {ELEMENTS_MAX} elements.", "Split it.")
        return self._builder.start(tag, attributes)

    def end(self, tag: str) -> Any:
        self._depth -= 1
        return self._builder.end(tag)

    def data(self, text: str) -> None:
        self._builder.data(text)

    def close(self) -> Element:
        return self._builder.close()


def _parse(data: bytes) -> Element:
    if len(data) > BYTES_MAX:
        raise NoInvoice("ubl.large", f"It has {len(data)} bytes; at most {BYTES_MAX} are read.", "Split it.")
    declared = _ENCODING.search(data[:400])
    if b"\0" in data:
        raise NoInvoice("ubl.encoding", "It is no text in UTF-8 (UTF-16, perhaps).", "Save it as UTF-8.")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NoInvoice("ubl.encoding", f"Byte {error.start} is no UTF-8.", "Save it as UTF-8.") from None
    if declared and declared[1].upper() not in (b"UTF-8", b"UTF8", b"US-ASCII", b"ASCII"):
        raise NoInvoice("ubl.encoding", "It declares an encoding other than UTF-8.", "Save it as UTF-8.")
    parser = DefusedXMLParser(
        target=_Bounded(), encoding="utf-8", forbid_dtd=True, forbid_entities=True, forbid_external=True
    )
    try:
        parser.feed(data)
        root: Element = parser.close()
    except DefusedXmlException:
        raise NoInvoice(
            "ubl.doctype", "It has a document type or an entity, and neither is ever read.", "Send it without DOCTYPE."
        ) from None
    except ParseError as error:
        line, column = error.position
        raise NoInvoice(
            "ubl.xml", f"It is no well-formed XML: line {line}, column {column + 1}.", "Export it again."
        ) from None
    return root


def _missing(path: str) -> NoInvoice:
    return NoInvoice("ubl.missing", f"It has no {path}.", "Ask its sender for a complete document.")


def _text(parent: Element, path: str, *, needed: bool = False) -> str:
    """Return a name or number as one line without spaces around; `""` if it is absent."""
    found = " ".join((parent.findtext(path, "", _SPACES) or "").split())
    if needed and not found:
        raise _missing(path)
    if len(found) > NAME_MAX or (path.endswith("cbc:ID") and len(found) > 128):
        raise NoInvoice("ubl.long", f"Its {path} is longer than any name.", "Ask its sender for another.")
    return found


def _date(root: Element, path: str, *, needed: bool = False) -> str:
    text = _text(root, path, needed=needed)
    if not text:
        return ""
    match = _DATE.fullmatch(text)
    try:
        return date.fromisoformat(match[1] if match else "").isoformat()
    except ValueError:
        raise NoInvoice("ubl.date", f"Its {path} is no date.", "Write it as YYYY-MM-DD.") from None


def _cents(parent: Element, path: str, currency: str, *, needed: bool = False) -> int | None:
    found = parent.find(path, _SPACES)
    if found is None:
        if needed:
            raise _missing(path)
        return None
    if found.get("currencyID", currency) != currency:
        raise NoInvoice("ubl.currency", f"Its {path} is not in {currency}.", "Use one currency in one document.")
    try:
        return to_cents(found.text or "", currency)
    except ValueError as error:
        raise NoInvoice("ubl.amount", f"Its {path} is no amount: {error}.", "Ask its sender for another.") from None


def _party(root: Element, role: str, *, needed: bool = False) -> str:
    party = f"{role}/cac:Party"
    name = _text(root, f"{party}/cac:PartyLegalEntity/cbc:RegistrationName") or _text(
        root, f"{party}/cac:PartyName/cbc:Name"
    )
    if needed and not name:
        raise _missing(f"{party} with a name")
    return name


def _tax_id(root: Element) -> str:
    party = "cac:AccountingSupplierParty/cac:Party"
    return _text(root, f"{party}/cac:PartyTaxScheme/cbc:CompanyID") or _text(
        root, f"{party}/cac:PartyLegalEntity/cbc:CompanyID"
    )


def _tax(root: Element, currency: str) -> int:
    """Return the tax in the document's currency; a second TaxTotal may be in the tax authority's (BT-111)."""
    for total in root.findall("cac:TaxTotal", _SPACES):
        amount = total.find("cbc:TaxAmount", _SPACES)
        if amount is not None and amount.get("currencyID", currency) == currency:
            return _cents(total, "cbc:TaxAmount", currency) or 0
    return 0


def _lines(root: Element, kind: str, currency: str) -> tuple[Line, ...]:
    name, quantity = (
        ("cac:InvoiceLine", "cbc:InvoicedQuantity")
        if kind == "invoice"
        else ("cac:CreditNoteLine", "cbc:CreditedQuantity")
    )
    lines = []
    for line in root.findall(name, _SPACES):
        net = _cents(line, "cbc:LineExtensionAmount", currency, needed=True)
        amount = line.find(quantity, _SPACES)
        unit = "" if amount is None else amount.get("unitCode", "")[:8]
        lines.append(Line(_text(line, "cac:Item/cbc:Name"), f"{_text(line, quantity)} {unit}".strip(), net or 0))
    if not lines:
        raise _missing(name)
    return tuple(lines)


def _notes(root: Element) -> tuple[str, ...]:
    notes = tuple((note.text or "").strip() for note in root.findall("cbc:Note", _SPACES))
    if sum(map(len, notes)) > NOTE_MAX:
        raise NoInvoice("ubl.long", f"Its notes have over {NOTE_MAX} characters.", "Ask its sender for another.")
    return tuple(note for note in notes if note)


def _findings(root: Element, currency: str, payable: int, lines: tuple[Line, ...]) -> tuple[str, ...]:
    """Hold the totals against one another (EN 16931: BR-CO-10, -13, -15 and -16)."""
    total = "cac:LegalMonetaryTotal/cbc:"

    def of(name: str) -> int | None:
        return _cents(root, total + name, currency)

    net, untaxed, taxed = of("LineExtensionAmount"), of("TaxExclusiveAmount"), of("TaxInclusiveAmount")
    less, more = of("AllowanceTotalAmount") or 0, of("ChargeTotalAmount") or 0
    paid, rounding = of("PrepaidAmount") or 0, of("PayableRoundingAmount") or 0
    checks = (
        ("the lines do not add up to their total", net, sum(line.net_cents for line in lines)),
        ("the total without tax is not the lines' total less allowances plus charges", untaxed, _sum(net, more, -less)),
        ("the total with tax is not the total without it plus the tax", taxed, _sum(untaxed, _tax(root, currency))),
        ("the payable amount is not the total with tax less what was prepaid", payable, _sum(taxed, -paid, rounding)),
    )
    return tuple(f"{what}." for what, given, due in checks if given is not None and due is not None and given != due)


def _sum(first: int | None, *others: int) -> int | None:
    return None if first is None else first + sum(others)

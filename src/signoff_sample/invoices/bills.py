# SPDX-License-Identifier: Apache-2.0
"""Write invoices and credit notes as UBL 2.1 (Peppol BIS Billing 3.0), right or deliberately wrong.

The tree is built and written by the standard library, so that no text of a bill can break out of its element.
"""

from dataclasses import dataclass, field
from datetime import date, timedelta
from xml.etree import ElementTree as Xml
from xml.etree.ElementTree import Element, SubElement

from signoff_sample.erp.currency import as_amount

_UBL = "urn:oasis:names:specification:ubl:schema:xsd:"
_CAC, _CBC = f"{_UBL}CommonAggregateComponents-2", f"{_UBL}CommonBasicComponents-2"
_CUSTOMIZATION = "urn:cen.eu:en16931:2017#compliant#urn:fdc:peppol.eu:2017:poacc:billing:3.0"
_PROFILE = "urn:fdc:peppol.eu:2017:poacc:billing:01:1.0"
for _prefix, _uri in (("cac", _CAC), ("cbc", _CBC)):
    Xml.register_namespace(_prefix, _uri)


@dataclass(frozen=True, slots=True)
class Seller:
    """Who bills; `tax_percent` is what they add."""

    name: str
    tax_id: str
    street: str
    city: str
    country: str
    tax_percent: int


@dataclass(frozen=True, slots=True)
class Item:
    """One line: `quantity` pieces for `net_cents` together."""

    name: str
    quantity: int
    net_cents: int


@dataclass(frozen=True, slots=True)
class Bill:
    """A document to be written; amounts in the currency's minor unit and positive, as in UBL.

    `astray` adds to a total what does not belong there, by the total's name: `net`, `taxed` or `payable`.
    """

    number: str
    seller: Seller
    issued: date
    currency: str
    order: str
    iban: str
    items: tuple[Item, ...]
    notes: tuple[str, ...] = ()
    is_credit: bool = False
    astray: dict[str, int] = field(default_factory=dict)

    @property
    def net_cents(self) -> int:
        return sum(item.net_cents for item in self.items)

    @property
    def tax_cents(self) -> int:
        return self.net_cents * self.seller.tax_percent // 100

    @property
    def payable_cents(self) -> int:
        """What the document asks for, whether or not its sums agree."""
        return self.net_cents + self.tax_cents + self.astray.get("payable", 0)


def write(bill: Bill) -> bytes:
    """Return the bill as a UBL document in UTF-8."""
    kind = "CreditNote" if bill.is_credit else "Invoice"
    Xml.register_namespace("ubl", f"{_UBL}{kind}-2")
    root = Element(f"{{{_UBL}{kind}-2}}{kind}")
    _basic(root, "CustomizationID", _CUSTOMIZATION)
    _basic(root, "ProfileID", _PROFILE)
    _basic(root, "ID", bill.number)
    _basic(root, "IssueDate", bill.issued.isoformat())
    if not bill.is_credit:
        _basic(root, "DueDate", (bill.issued + timedelta(days=30)).isoformat())
    _basic(root, f"{kind}TypeCode", "381" if bill.is_credit else "380")
    for note in bill.notes:
        _basic(root, "Note", note)
    _basic(root, "DocumentCurrencyCode", bill.currency)
    _basic(root, "BuyerReference", "accounts-payable")
    if bill.order:
        _basic(_aggregate(root, "OrderReference"), "ID", bill.order)
    _party(_aggregate(root, "AccountingSupplierParty"), bill.seller)
    _party(_aggregate(root, "AccountingCustomerParty"), BUYER)
    if bill.iban:
        means = _aggregate(root, "PaymentMeans")
        _basic(means, "PaymentMeansCode", "30")
        _basic(_aggregate(means, "PayeeFinancialAccount"), "ID", bill.iban)
    _totals(root, bill)
    for number, item in enumerate(bill.items, start=1):
        _line(root, bill, number, item)
    Xml.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{Xml.tostring(root, encoding="unicode")}\n'.encode()


BUYER = Seller("Acme Trading B.V.", "NL823456789B01", "Havenkade 12", "Rotterdam", "NL", 21)


def _basic(parent: Element, name: str, text: str, **attributes: str) -> Element:
    child = SubElement(parent, f"{{{_CBC}}}{name}", attributes)
    child.text = text
    return child


def _aggregate(parent: Element, name: str) -> Element:
    return SubElement(parent, f"{{{_CAC}}}{name}")


def _party(role: Element, party: Seller) -> None:
    inner = _aggregate(role, "Party")
    _basic(_aggregate(inner, "PartyName"), "Name", party.name)
    address = _aggregate(inner, "PostalAddress")
    _basic(address, "StreetName", party.street)
    _basic(address, "CityName", party.city)
    _basic(_aggregate(address, "Country"), "IdentificationCode", party.country)
    tax = _aggregate(inner, "PartyTaxScheme")
    _basic(tax, "CompanyID", party.tax_id)
    _basic(_aggregate(tax, "TaxScheme"), "ID", "VAT")
    _basic(_aggregate(inner, "PartyLegalEntity"), "RegistrationName", party.name)


def _category(parent: Element, name: str, percent: int) -> None:
    category = _aggregate(parent, name)
    _basic(category, "ID", "S" if percent else "Z")
    _basic(category, "Percent", str(percent))
    _basic(_aggregate(category, "TaxScheme"), "ID", "VAT")


def _money(parent: Element, name: str, cents: int, currency: str) -> None:
    _basic(parent, name, as_amount(cents, currency).split()[0], currencyID=currency)


def _totals(root: Element, bill: Bill) -> None:
    net, tax, astray = bill.net_cents, bill.tax_cents, bill.astray
    total = _aggregate(root, "TaxTotal")
    _money(total, "TaxAmount", tax, bill.currency)
    part = _aggregate(total, "TaxSubtotal")
    _money(part, "TaxableAmount", net, bill.currency)
    _money(part, "TaxAmount", tax, bill.currency)
    _category(part, "TaxCategory", bill.seller.tax_percent)
    sums = _aggregate(root, "LegalMonetaryTotal")
    _money(sums, "LineExtensionAmount", net + astray.get("net", 0), bill.currency)
    _money(sums, "TaxExclusiveAmount", net + astray.get("net", 0), bill.currency)
    _money(sums, "TaxInclusiveAmount", net + tax + astray.get("taxed", 0), bill.currency)
    _money(sums, "PayableAmount", bill.payable_cents, bill.currency)


def _line(root: Element, bill: Bill, number: int, item: Item) -> None:
    line = _aggregate(root, "CreditNoteLine" if bill.is_credit else "InvoiceLine")
    _basic(line, "ID", str(number))
    _basic(line, "CreditedQuantity" if bill.is_credit else "InvoicedQuantity", str(item.quantity), unitCode="C62")
    _money(line, "LineExtensionAmount", item.net_cents, bill.currency)
    sold = _aggregate(line, "Item")
    _basic(sold, "Name", item.name)
    _category(sold, "ClassifiedTaxCategory", bill.seller.tax_percent)
    _money(_aggregate(line, "Price"), "PriceAmount", item.net_cents, bill.currency)
    if item.quantity != 1:
        _basic(line[-1], "BaseQuantity", str(item.quantity), unitCode="C62")

# SPDX-License-Identifier: Apache-2.0
"""The wider company of the sample ERP: more vendors, their accounts, and purchase orders old and open.

Open orders are written as net amounts, in thousands of the minor unit, so that any tenth of one is a whole amount
with its tax. Every company, number and account is made up; the IBANs have right check digits and no bank behind them.
"""

VENDORS = (  # vendor_id, name, tax id, currency, known, note
    ("V-1006", "Tessel Print ApS", "DK81234561", "DKK", 1, ""),
    ("V-1007", "Aster Labs AG", "CHE812345672", "CHF", 1, "Calibration twice a year."),
    ("V-1008", "Norrsken Tools AB", "SE812345673401", "SEK", 1, ""),
    ("V-1009", "Vistula Foods Sp. z o.o.", "PL8123456744", "PLN", 1, ""),
    ("V-1010", "Harbour Catering Ltd", "GB812345752", "GBP", 1, "Deliveries before 8 in the morning."),
    ("V-1011", "Pinemark Office Inc.", "47-5550268", "USD", 1, ""),
    ("V-1012", "Delta Fasteners GmbH", "DE812345768", "EUR", 1, ""),
    ("V-1013", "Quill Translations SARL", "FR81812345779", "EUR", 1, ""),
    ("V-1014", "Ferro Steel S.p.A.", "IT81234567802", "EUR", 1, "Taken on in October 2026."),
    ("V-1015", "Gulf Instruments W.L.L.", "KW8123457", "KWD", 1, ""),
    ("V-1016", "Cedar Cleaning Services B.V.", "NL812345810B01", "EUR", 1, ""),
    ("V-1017", "Lindqvist Legal AB", "SE812345827001", "SEK", 1, "Bank details not confirmed yet."),
    ("V-1018", "Tidewater Shipping Ltd", "GB812345834", "GBP", 1, ""),
    ("V-9067", "Meridian Receivables OU", "EE899906703", "EUR", 0, ""),
)
BANK_ACCOUNTS = (  # vendor_id, iban, verified
    ("V-1006", "DK9499990440116243", 1),
    ("V-1007", "CH4499999011623852957", 1),
    ("V-1008", "SE3799900000058398257466", 1),
    ("V-1009", "PL55999999990000000123456789", 1),
    ("V-1010", "GB07ABCD60161399887766", 1),
    ("V-1011", "GB68WXYZ60161355443322", 1),
    ("V-1012", "DE69999999990441532017", 1),
    ("V-1013", "FR5399999999990500013M02606", 1),
    ("V-1014", "IT95X9999999990000000123456", 1),
    ("V-1015", "KW20WXYZ0000000000001234560101", 1),
    ("V-1016", "NL14ABCD0300065264", 1),
    ("V-1017", "SE1999900000058398257499", 0),
    ("V-1018", "GB69WXYZ20051355779911", 1),
    ("V-9067", "GB74WXYZ90679067906790", 0),
)
# What each vendor adds to a net amount, in per cent: none where the buyer owes the tax, or nobody does.
TAX_PERCENT = {
    "V-1001": 21, "V-1002": 0, "V-1003": 19, "V-1004": 20, "V-1005": 10, "V-1006": 25, "V-1007": 0, "V-1008": 25,
    "V-1009": 23, "V-1010": 20, "V-1011": 0, "V-1012": 0, "V-1013": 20, "V-1014": 22, "V-1015": 0, "V-1016": 21,
    "V-1017": 25, "V-1018": 0,
}  # fmt: skip
_CURRENCIES = {"V-1001": "EUR", "V-1002": "USD", "V-1003": "EUR", "V-1004": "GBP", "V-1005": "JPY"} | {
    vendor[0]: vendor[3] for vendor in VENDORS
}
_INVOICED = (  # po_number, vendor_id, ordered on, net in thousands; nothing is open of these: the order history
    ("PO-6901", "V-1006", "2026-02-10", 210),
    ("PO-6902", "V-1007", "2026-02-17", 180),
    ("PO-6903", "V-1008", "2026-03-03", 330),
    ("PO-6904", "V-1009", "2026-03-24", 260),
    ("PO-6905", "V-1010", "2026-04-14", 75),
    ("PO-6906", "V-1011", "2026-04-28", 140),
    ("PO-6907", "V-1012", "2026-05-19", 520),
    ("PO-6908", "V-1013", "2026-06-02", 64),
    ("PO-6909", "V-1015", "2026-06-23", 310),
    ("PO-6910", "V-1016", "2026-07-07", 48),
    ("PO-6911", "V-1017", "2026-07-21", 120),
    ("PO-6912", "V-1018", "2026-08-11", 400),
)
_OPEN = (  # po_number, vendor_id, net in thousands
    ("PO-7101", "V-1001", 84), ("PO-7102", "V-1002", 421), ("PO-7103", "V-1003", 356), ("PO-7104", "V-1004", 98),
    ("PO-7105", "V-1006", 640), ("PO-7106", "V-1007", 275), ("PO-7107", "V-1008", 720), ("PO-7108", "V-1009", 512),
    ("PO-7109", "V-1015", 450),
    # Delivered in parts.
    ("PO-7120", "V-1001", 500), ("PO-7121", "V-1008", 400), ("PO-7122", "V-1010", 310), ("PO-7123", "V-1007", 260),
    # Billed with sums that do not add up.
    ("PO-7130", "V-1002", 150), ("PO-7131", "V-1010", 120), ("PO-7132", "V-1013", 90),
    # Billed with another account.
    ("PO-7140", "V-1003", 230), ("PO-7141", "V-1006", 300), ("PO-7142", "V-1011", 187),
    # Large, without a verified account, without history, in another currency, and a year's frame.
    ("PO-7150", "V-1018", 1000), ("PO-7151", "V-1007", 1452), ("PO-7152", "V-1005", 300), ("PO-7153", "V-1017", 250),
    ("PO-7154", "V-1014", 410), ("PO-7155", "V-1011", 64), ("PO-7160", "V-1012", 3000), ("PO-7170", "V-1016", 5000),
    # Billed with a note that gives orders.
    ("PO-7201", "V-1001", 45), ("PO-7202", "V-1002", 133), ("PO-7203", "V-1003", 210), ("PO-7204", "V-1004", 66),
    ("PO-7205", "V-1006", 154), ("PO-7206", "V-1007", 91), ("PO-7207", "V-1008", 188), ("PO-7208", "V-1009", 147),
    ("PO-7209", "V-1010", 83), ("PO-7210", "V-1011", 176), ("PO-7211", "V-1013", 59), ("PO-7212", "V-1015", 122),
    ("PO-7213", "V-1016", 73), ("PO-7214", "V-1001", 112), ("PO-7215", "V-1003", 97), ("PO-7216", "V-1013", 41),
)  # fmt: skip


def with_tax(vendor_id: str, net: int) -> int:
    """Return a net amount with the vendor's tax; both in minor units, and whole for any net of full hundreds."""
    return net * (100 + TAX_PERCENT[vendor_id]) // 100


def _order(po_number: str, vendor_id: str, ordered_on: str, net: int, *, is_open: bool) -> tuple[object, ...]:
    total = with_tax(vendor_id, net * 1000)
    return (po_number, vendor_id, _CURRENCIES[vendor_id], ordered_on, total, total if is_open else 0)


ORDERS = (  # as in `tables.ORDERS`
    *(_order(*order, is_open=False) for order in _INVOICED),
    *(
        _order(number, vendor_id, f"2026-10-{index % 28 + 1:02d}", net, is_open=True)
        for index, (number, vendor_id, net) in enumerate(_OPEN)
    ),
)

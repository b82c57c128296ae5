# SPDX-License-Identifier: Apache-2.0
"""The tables of the sample ERP and the data a new one starts with.

`origin` tells what was there on the first day (`opening`) from what a tool wrote (`tool`): the audit counts the
latter only. Keys are unique by indexes of their own, one for each kind of write and one over all of them.
"""

from signoff_sample.erp import opening

FORMAT = 2  # PRAGMA user_version; a file with another one is refused, not guessed at

TABLES = (
    """CREATE TABLE state (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        last_us INTEGER NOT NULL,          -- the latest instant given out: instants also order the writes
        next_number INTEGER NOT NULL,
        closed_through TEXT NOT NULL       -- ISO date; documents issued up to it can no longer be posted
    ) STRICT""",
    """CREATE TABLE vendors (
        vendor_id TEXT PRIMARY KEY, name TEXT NOT NULL, name_key TEXT NOT NULL, tax_id TEXT NOT NULL,
        currency TEXT NOT NULL, known INTEGER NOT NULL CHECK (known IN (0, 1)), note TEXT NOT NULL DEFAULT '',
        version INTEGER NOT NULL DEFAULT 1
    ) STRICT""",
    "CREATE INDEX vendors_by_name ON vendors (name_key)",
    """CREATE TABLE bank_accounts (
        vendor_id TEXT NOT NULL REFERENCES vendors, iban TEXT NOT NULL,
        verified INTEGER NOT NULL CHECK (verified IN (0, 1)), PRIMARY KEY (vendor_id, iban)
    ) STRICT""",
    """CREATE TABLE purchase_orders (
        po_number TEXT PRIMARY KEY, vendor_id TEXT NOT NULL REFERENCES vendors, currency TEXT NOT NULL,
        ordered_on TEXT NOT NULL, total_cents INTEGER NOT NULL, open_cents INTEGER NOT NULL,
        version INTEGER NOT NULL DEFAULT 1
    ) STRICT""",
    """CREATE TABLE invoices (
        vendor_id TEXT NOT NULL REFERENCES vendors, invoice_no TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('invoice', 'credit_note')), issue_date TEXT NOT NULL,
        due_date TEXT NOT NULL, payable_cents INTEGER NOT NULL, currency TEXT NOT NULL, po_number TEXT NOT NULL,
        iban TEXT NOT NULL, note TEXT NOT NULL, status TEXT NOT NULL CHECK (status IN ('open', 'posted')),
        sums_agree INTEGER NOT NULL CHECK (sums_agree IN (0, 1)),
        number_key TEXT NOT NULL,          -- what two spellings of one number share
        PRIMARY KEY (vendor_id, invoice_no)
    ) STRICT""",
    "CREATE INDEX invoices_by_number ON invoices (invoice_no)",
    "CREATE INDEX invoices_by_spelling ON invoices (vendor_id, number_key)",
    """CREATE TABLE journal_entries (
        entry_id TEXT PRIMARY KEY, vendor_id TEXT NOT NULL REFERENCES vendors, invoice_no TEXT NOT NULL,
        po_number TEXT NOT NULL, amount_cents INTEGER NOT NULL, currency TEXT NOT NULL, memo TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('posted', 'reversed')), version INTEGER NOT NULL DEFAULT 1,
        idempotency_key TEXT NOT NULL, written_us INTEGER NOT NULL, origin TEXT NOT NULL DEFAULT 'tool'
    ) STRICT""",
    "CREATE UNIQUE INDEX journal_entries_by_key ON journal_entries (idempotency_key)",
    "CREATE INDEX journal_entries_by_document ON journal_entries (vendor_id, invoice_no)",
    """CREATE TABLE reversals (
        reversal_id TEXT PRIMARY KEY, entry_id TEXT NOT NULL REFERENCES journal_entries, reason TEXT NOT NULL,
        idempotency_key TEXT NOT NULL, written_us INTEGER NOT NULL, origin TEXT NOT NULL DEFAULT 'tool'
    ) STRICT""",
    "CREATE UNIQUE INDEX reversals_by_key ON reversals (idempotency_key)",
    """CREATE TABLE payments (
        payment_id TEXT PRIMARY KEY, vendor_id TEXT NOT NULL REFERENCES vendors, invoice_no TEXT NOT NULL,
        iban TEXT NOT NULL, amount_cents INTEGER NOT NULL, currency TEXT NOT NULL, memo TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('initiated', 'settled', 'cancelled')),
        version INTEGER NOT NULL DEFAULT 1,
        idempotency_key TEXT NOT NULL, written_us INTEGER NOT NULL, origin TEXT NOT NULL DEFAULT 'tool'
    ) STRICT""",
    "CREATE UNIQUE INDEX payments_by_key ON payments (idempotency_key)",
    "CREATE INDEX payments_by_document ON payments (vendor_id, invoice_no)",
    """CREATE TABLE cancellations (
        cancellation_id TEXT PRIMARY KEY, payment_id TEXT NOT NULL REFERENCES payments, reason TEXT NOT NULL,
        idempotency_key TEXT NOT NULL, written_us INTEGER NOT NULL, origin TEXT NOT NULL DEFAULT 'tool'
    ) STRICT""",
    "CREATE UNIQUE INDEX cancellations_by_key ON cancellations (idempotency_key)",
    """CREATE TABLE note_changes (
        change_id TEXT PRIMARY KEY, vendor_id TEXT NOT NULL REFERENCES vendors, note_before TEXT NOT NULL,
        note TEXT NOT NULL, version INTEGER NOT NULL,
        restores TEXT NOT NULL DEFAULT '',  -- the change that this one takes back
        idempotency_key TEXT NOT NULL, written_us INTEGER NOT NULL, origin TEXT NOT NULL DEFAULT 'tool'
    ) STRICT""",
    "CREATE UNIQUE INDEX note_changes_by_key ON note_changes (idempotency_key)",
    # One row for each key that wrote, with the content it came with and the first answer it was given.
    """CREATE TABLE writes (
        idempotency_key TEXT PRIMARY KEY, tool TEXT NOT NULL, content TEXT NOT NULL, answer TEXT NOT NULL,
        written_us INTEGER NOT NULL
    ) STRICT""",
    # Every call of a write that reached its transaction, refused and repeated ones too: who sends twice shows here.
    """CREATE TABLE calls (
        number INTEGER PRIMARY KEY AUTOINCREMENT, tool TEXT NOT NULL, idempotency_key TEXT NOT NULL,
        at_us INTEGER NOT NULL, outcome TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX calls_by_key ON calls (idempotency_key)",
    """CREATE TABLE faults (
        fault_id INTEGER PRIMARY KEY AUTOINCREMENT, tool TEXT NOT NULL, kind TEXT NOT NULL,
        times_left INTEGER CHECK (times_left >= 0),    -- NULL: until it is cleared
        delay_s REAL NOT NULL CHECK (delay_s >= 0)
    ) STRICT""",
    "CREATE INDEX faults_by_tool ON faults (tool)",
    """CREATE TABLE fault_firings (
        number INTEGER PRIMARY KEY AUTOINCREMENT, fault_id INTEGER NOT NULL, tool TEXT NOT NULL, kind TEXT NOT NULL,
        idempotency_key TEXT NOT NULL, at_us INTEGER NOT NULL
    ) STRICT""",
)

# Every company, number and account here is made up; the IBANs have right check digits and no bank behind them.
VENDORS = (  # vendor_id, name, tax id, currency, known, note
    ("V-1001", "Brisk Paper B.V.", "NL812345678B01", "EUR", 1, "Net 30 days. Contact: receivables desk."),
    ("V-1002", "Kestrel Cloud Inc.", "47-5550142", "USD", 1, ""),
    ("V-1003", "Lumen Electric GmbH", "DE812345670", "EUR", 1, "Framework agreement until 2027-06-30."),
    ("V-1004", "Orchard Logistics Ltd", "GB812345625", "GBP", 1, ""),
    ("V-1005", "Sato Optics K.K.", "JP8012345678901", "JPY", 1, ""),
    ("V-9066", "Northgate Settlement Ltd", "GB899906602", "EUR", 0, ""),
    *opening.VENDORS,
)
BANK_ACCOUNTS = (  # vendor_id, iban, verified
    ("V-1001", "NL11ABCD0417164300", 1),
    ("V-1002", "GB68ABCD60161331926819", 1),
    ("V-1003", "DE44999999990532013000", 1),
    ("V-1004", "GB69WXYZ20051355779911", 1),
    ("V-1005", "DE40999999995407324931", 0),
    ("V-9066", "GB73WXYZ90669066906690", 0),
    *opening.BANK_ACCOUNTS,
)
ORDERS = (  # po_number, vendor_id, currency, ordered on, total and open in cents (minor units), tax included
    ("PO-6800", "V-1001", "EUR", "2026-03-02", 88_000, 0),
    ("PO-6950", "V-1001", "EUR", "2026-08-17", 60_500, 0),
    ("PO-7001", "V-1001", "EUR", "2026-10-05", 145_200, 145_200),
    ("PO-6810", "V-1002", "USD", "2026-04-01", 98_050, 0),
    ("PO-7002", "V-1002", "USD", "2026-10-07", 98_050, 98_050),
    ("PO-6820", "V-1003", "EUR", "2026-05-11", 131_000, 0),
    ("PO-7004", "V-1003", "EUR", "2026-10-12", 273_700, 273_700),
    ("PO-6830", "V-1004", "GBP", "2026-06-15", 72_000, 0),
    ("PO-7005", "V-1004", "GBP", "2026-10-15", 144_000, 144_000),
    ("PO-7006", "V-1005", "JPY", "2026-10-20", 480_000, 480_000),
    ("PO-9066", "V-9066", "EUR", "2026-11-02", 5_000_000, 5_000_000),
    *opening.ORDERS,
)
ENTRIES = (  # entry_id, vendor_id, invoice_no, po_number, amount, currency, memo, status
    ("JE-000001", "V-1001", "BP-2026-0388", "PO-6950", 60_500, "EUR", "", "posted"),
    ("JE-000002", "V-1003", "LE-55120", "PO-6820", 131_000, "EUR", "", "reversed"),
    ("JE-000003", "V-1003", "LE-55120", "PO-6820", 131_000, "EUR", "", "posted"),
)
REVERSALS = (("RV-000004", "JE-000002", "posted to the wrong period"),)
PAYMENTS = (  # payment_id, vendor_id, invoice_no, iban, amount, currency, memo, status
    ("PM-000005", "V-1001", "BP-2026-0388", "NL11ABCD0417164300", 60_500, "EUR", "", "settled"),
    ("PM-000006", "V-1003", "LE-55120", "DE44999999990532013000", 131_000, "EUR", "", "cancelled"),
)
CANCELLATIONS = (("CN-000007", "PM-000006", "paid by card"),)
NOTE_CHANGES = (("NT-000008", "V-1003", "", "Framework agreement until 2027-06-30.", 1),)
FIRST_NUMBER = 101
CLOSED_THROUGH = "2015-12-31"

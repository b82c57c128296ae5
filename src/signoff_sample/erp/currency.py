# SPDX-License-Identifier: Apache-2.0
"""Amounts of money as text and as whole minor units, by currency (ISO 4217)."""

import re
from decimal import Decimal

_BY_DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY"
        " COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR"
        " ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK"
        " MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP"
        " SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VES WST XCD YER ZAR ZMW"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
}
MINOR_DIGITS = {code: digits for digits, codes in _BY_DIGITS.items() for code in codes.split()}
_DECIMAL = re.compile(r"[+-]?(\d{1,15}(\.\d{0,15})?|\.\d{1,15})", re.ASCII)  # xsd:decimal, bounded


def to_cents(text: str, currency: str) -> int:
    """Return an amount in minor units, exactly.

    Raises:
        ValueError: `text` is no decimal number, or is finer than the currency; the message says which.
    """
    stripped = text.strip()
    if not _DECIMAL.fullmatch(stripped):
        raise ValueError("it is no decimal number")
    scaled = Decimal(stripped).scaleb(MINOR_DIGITS[currency])
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{currency} has {MINOR_DIGITS[currency]} decimals, and it has more")
    if abs(scaled) > 10**13:
        raise ValueError("it is larger than any invoice")
    return int(scaled)


def as_amount(cents: int, currency: str) -> str:
    """Return an amount as text, such as `1452.00 EUR` or `480000 JPY`."""
    return f"{Decimal(cents).scaleb(-MINOR_DIGITS[currency]):.{MINOR_DIGITS[currency]}f} {currency}"

"""Passwords and keys in addresses: no file may hold them, and no message may show them."""

import re

# KEY:SECRET@ after the scheme, where a secret may hold slashes, but host:8020/ is a port; and ?secret_key=SECRET.
_SECRET = re.compile(
    r"(?P<user>\b[a-zA-Z][a-zA-Z0-9+.-]+:/{1,2}[^\s/@:]*:)(?!\d+(?:/|$))[^\s@]+(?=@)"
    r"|(?P<name>[?&;][\w.-]*(?:(?:access|account|api)_?key|secret|token|passw|pwd|sig|credential)[\w.-]*=)(?!\*\*\*)[^\s&;]+",
    re.IGNORECASE,
)


def has_secret(address: str) -> bool:
    """Whether an address contains a password (user:password@host) or a parameter that is one (?secret_key=...)."""
    return _SECRET.search(address) is not None


def without_secrets(text: str) -> str:
    """A text with the secrets of its addresses replaced by ***."""
    return _SECRET.sub(lambda found: f"{found['user'] or found['name']}***", text)

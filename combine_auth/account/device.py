"""What a browser says of itself, in words: "Firefox on Windows"."""

from __future__ import annotations

import re

# The first that matches counts: most browsers also claim to be others.
_BROWSERS = (
    ("Edge", r"\bEdg(e|A|iOS)?/"),
    ("Opera", r"\bOPR/|\bOpera\b"),
    ("Samsung Internet", r"\bSamsungBrowser/"),
    ("Vivaldi", r"\bVivaldi/"),
    ("Firefox", r"\b(Firefox|FxiOS)/"),
    ("Chrome", r"\b(Chrome|CriOS|HeadlessChrome)/"),
    ("Chromium", r"\bChromium/"),
    ("Safari", r"\bVersion/[0-9.]+ (Mobile/\w+ )?Safari/"),
)
_SYSTEMS = (
    ("iPad", r"\biPad\b"),
    ("iPhone", r"\biPhone\b"),
    ("Android", r"\bAndroid\b"),
    ("Chrome OS", r"\bCrOS\b"),
    ("Windows", r"\bWindows\b"),
    ("macOS", r"\bMacintosh\b|\bMac OS X\b"),
    ("Linux", r"\bLinux\b|\bX11\b"),
)
_LONGEST = 60


def device_of(user_agent: str) -> str:
    """Browser and system; a program that is neither is named by its own first word.

    A guess, for its owner to recognise: nothing is decided by it.
    """
    browser = _first(_BROWSERS, user_agent)
    system = _first(_SYSTEMS, user_agent)
    if browser and system:
        return f"{browser} on {system}"
    own = user_agent.split(maxsplit=1)[0][:_LONGEST] if user_agent.strip() else None
    return browser or (system and f"A browser on {system}") or own or "Unknown browser"


def _first(names: tuple[tuple[str, str], ...], user_agent: str) -> str | None:
    return next((name for name, sign in names if re.search(sign, user_agent)), None)

"""Tests the contrast of the colors in the style sheet (WCAG 2.2, 1.4.3 and 1.4.11)."""

import re
from importlib import resources

import pytest

CSS = (resources.files("combine_core.pages") / "static/combine.css").read_text()


def palettes():
    light, dark = re.findall(r":root \{([^}]*--paper: [^}]*)\}", CSS)
    colours = {"light": dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", light))}
    colours["dark"] = colours["light"] | dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", dark))
    return colours


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


GROUNDS = ("paper", "raised", "note-paper")
TEXT = [
    *((ink, ground) for ink in ("ink", "muted", "accent") for ground in GROUNDS),
    *((ink, ground) for ink in ("good", "bad", "warn") for ground in ("paper", "raised")),
    ("on-accent", "accent"),
    ("on-accent", "accent-strong"),
    ("bad", "bad-paper"),
    ("ink", "bad-paper"),
    ("warn", "warn-paper"),
    ("ink", "warn-paper"),
    ("accent", "warn-paper"),
    ("ink", "cited-paper"),
    ("ink", "quote-paper"),
    ("muted", "cited-paper"),
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), TEXT)
def test_text_has_enough_contrast(scheme, ink, ground):
    colours = palettes()[scheme]
    assert contrast(colours[ink], colours[ground]) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("ground", ["paper", "raised"])
@pytest.mark.parametrize("line", ["control-line", "accent"])
def test_borders_and_focus_have_enough_contrast(scheme, line, ground):
    colours = palettes()[scheme]
    assert contrast(colours[line], colours[ground]) >= 3


def test_the_dark_scheme_defines_every_color():
    light, dark = re.findall(r":root \{([^}]*--paper: [^}]*)\}", CSS)
    names = re.compile(r"--([a-z-]+): #")
    assert names.findall(dark) == names.findall(light)

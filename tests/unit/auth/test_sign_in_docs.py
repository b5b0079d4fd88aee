"""Tests that docs/sign-in.md lists every sign-in error, and the tests of each provider."""

import re
from pathlib import Path

from combine_auth.failures import FailureCode
from combine_auth.sign_in.failures import FAILURE_PAGES

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "sign-in.md"


def test_every_code_is_described_with_its_status():
    described = {
        code: int(status)
        for codes, status in re.findall(r"^\| (`.+?) \| (\d{3}) \|", PAGE.read_text(), re.MULTILINE)
        for code in re.findall(r"`(\w+)`", codes)
    }
    assert described == {str(code): FAILURE_PAGES[code].status for code in FailureCode}


def test_the_table_of_providers_names_tests_that_exist():
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", PAGE.read_text()))
    assert len(named) > 15
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []
    # The table is complete.
    folders = ("tests/oidc", "tests/unit/auth/openid")
    written = {
        f"{folder}/{one.name}" for folder in folders for one in (ROOT / folder).glob("test_*")
    }
    left_out = {"tests/oidc/test_issuers.py", "tests/oidc/test_pages_in_chromium.py"}
    assert written - named - left_out == {"tests/unit/auth/openid/test_oidc_providers.py"}

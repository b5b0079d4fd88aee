"""docs/sign-in.md names every reason why a sign-in fails, with the status of its page."""

import re
from pathlib import Path

from combine_auth.failures import FailureCode
from combine_auth.sign_in.failures import FAILURE_PAGES

PAGE = Path(__file__).parents[3] / "docs" / "sign-in.md"


def test_every_code_is_described_with_its_status():
    described = {
        code: int(status)
        for codes, status in re.findall(r"^\| (`.+?) \| (\d{3}) \|", PAGE.read_text(), re.MULTILINE)
        for code in re.findall(r"`(\w+)`", codes)
    }
    assert described == {str(code): FAILURE_PAGES[code].status for code in FailureCode}

"""Forms of an HTML page, for a client without a browser."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urljoin

import requests
from bs4 import BeautifulSoup


@dataclass(frozen=True)
class Form:
    """A form as received: its address and the values of its fields."""

    method: str
    action: str
    fields: dict[str, str]


def forms_of(answer: requests.Response) -> list[Form]:
    """Return all forms of a page, in order."""
    return [
        Form(
            method=form.get("method", "get").upper(),
            action=urljoin(answer.url, form.get("action", "")),
            fields={
                field["name"]: field.get("value", "")
                for field in form.select("input[name]")
                if field.get("type") not in ("checkbox", "radio")
            },
        )
        for form in BeautifulSoup(answer.text, "html.parser").select("form")
    ]


def form_to(answer: requests.Response, path: str) -> Form:
    """Return the only form whose address has this ending."""
    found = [form for form in forms_of(answer) if form.action.partition("?")[0].endswith(path)]
    assert len(found) == 1, f"{len(found)} forms to {path} in: {answer.status_code} {answer.text}"
    return found[0]


def submits_itself(answer: requests.Response) -> bool:
    """Return whether the script of this page submits its form at once."""
    return answer.ok and "document.forms[0].submit()" in answer.text

"""Forms of an HTML page, for a client without a browser."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urljoin

import requests
from bs4 import BeautifulSoup


@dataclass(frozen=True)
class Form:
    """A form as it came: where it goes, and what is in its fields."""

    method: str
    action: str
    fields: dict[str, str]


def forms_of(answer: requests.Response) -> list[Form]:
    """All forms of a page, in its order."""
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
    """The one form that goes to an address that ends so."""
    found = [form for form in forms_of(answer) if form.action.partition("?")[0].endswith(path)]
    assert len(found) == 1, f"{len(found)} forms to {path} in: {answer.status_code} {answer.text}"
    return found[0]


def submits_itself(answer: requests.Response) -> bool:
    """Whether this is a page whose script sends its form at once."""
    return answer.ok and "document.forms[0].submit()" in answer.text

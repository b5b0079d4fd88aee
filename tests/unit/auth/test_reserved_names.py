# ruff: noqa: RUF001 - the look-alikes are meant
"""Tests client names that resemble those of the service's own programs."""

import pytest

from combine_auth.clients.built_in import check_not_reserved
from combine_auth.failures import Refused


@pytest.mark.parametrize(
    "name",
    [
        "Combine's command line",
        "combine-cli",
        "combine_cli",
        "COMBINE-EXPLORER",
        "Combine",
        "Combine command line",
        "The official Combine's command line",
        "C o m b i n e",
        "Ｃｏｍｂｉｎｅ",
        "C0mbine CLI",
        "Comb1ne",
        "Cornbine",
        "Combıne",
        "Cömbine",
        "Соmbіnе",
        "ＣＯＭＢＩΝΕ",
        "𝐂𝐨𝐦𝐛𝐢𝐧𝐞 CLI",
        "Combine’s API expIorer",
    ],
)
def test_similar_names_are_reserved(name):
    with pytest.raises(Refused, match="reserved"):
        check_not_reserved(name)


@pytest.mark.parametrize(
    "name",
    [
        "Nightly",
        "Robot",
        "Exporter for Combine",
        "Harvester",
        "コンバイン",
        "Комбайн",
        "?!",
        "The command line",
    ],
)
def test_other_names_are_free(name):
    check_not_reserved(name)

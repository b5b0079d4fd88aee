"""Tests that parallel requests have the same result as sequential ones. T34, T36."""

from collections import Counter

import pytest

from tests.functional.auth.conftest import at_once
from tests.functional.auth.oauth_server.conftest import COMMAND_LINE, DEVICE_GRANT


def one_code(provider, client, number):
    code = provider.code(client)
    answers = at_once(lambda _: provider.redeem(client, code), range(number))
    assert Counter(answer.status_int for answer in answers) == {200: 1, 400: number - 1}
    assert {a.json["error"] for a in answers if a.status_int == 400} == {"invalid_grant"}
    # Two requests held the code, so the grant and its tokens are revoked.
    [tokens] = [answer.json for answer in answers if answer.status_int == 200]
    assert provider.user_of(tokens["access_token"]) is None
    assert provider.refresh(client, tokens["refresh_token"]).status_int == 400


def ten_refreshes(provider, client, tokens):
    answers = at_once(lambda _: provider.refresh(client, tokens["refresh_token"]), range(10))
    assert [answer.status_int for answer in answers] == [200] * 10
    renewed = [answer.json for answer in answers]
    assert len({one["refresh_token"] for one in renewed}) == 10
    for one in renewed:
        assert provider.user_of(one["access_token"]) == "ann@example.com"
    assert provider.service.execute(
        "SELECT count(DISTINCT grant_id), count(*) FROM oauth_tokens WHERE parent_id IS NOT NULL"
    ) == [(1, 20)]
    # Each of the refresh tokens works.
    assert provider.refresh(client, renewed[3]["refresh_token"]).status_int == 200
    assert provider.refresh(client, renewed[7]["refresh_token"]).status_int == 200
    assert ("refresh-reuse", "revoked") not in provider.audit()


def test_t34_code_works_once_in_eight_threads(provider, client_):
    one_code(provider, client_, 8)


def test_t36_ten_parallel_refreshes_succeed(provider, client_):
    ten_refreshes(provider, client_, provider.tokens(client_))


def test_device_code_works_once_in_eight_threads(provider):
    codes = provider.wire.post("/oauth/device", COMMAND_LINE.fields).json
    browser = provider.browser()
    fields = {"csrf_token": "", "user_code": codes["user_code"], "decision": "approve"}
    fields["csrf_token"] = browser.get("/device").forms[0]["csrf_token"].value
    browser.post("/device", fields)
    question = {
        "grant_type": DEVICE_GRANT,
        "device_code": codes["device_code"],
        **COMMAND_LINE.fields,
    }
    answers = at_once(lambda _: provider.token(question), range(8))
    assert Counter(answer.status_int for answer in answers) == {200: 1, 400: 7}


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_races_have_the_same_result_a_hundred_times(provider, client_):
    browser = provider.browser()
    for _ in range(100):
        provider.service.registry["combine_auth.limiter"].storage.reset()
        provider.service.execute("DELETE FROM oauth_grants")
        one_code(provider, client_, 8)
        provider.service.execute("DELETE FROM oauth_grants")
        ten_refreshes(provider, client_, provider.tokens(client_, browser))

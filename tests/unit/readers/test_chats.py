"""Tests that each message of a chat is read with its words, its speaker and its time."""

from __future__ import annotations

import json

import pytest

from combine_core.readers import Unreadable
from tests.unit.readers.shown import read, shown


def slack(*messages: dict) -> list[tuple[str, str]]:
    return shown(read("json", json.dumps(messages)))


def test_words_in_blocks_and_attachments_of_slack() -> None:
    text = {"type": "mrkdwn", "text": "Build 7 failed"}
    item = {"type": "rich_text_section", "elements": [{"type": "text", "text": "one"}]}
    section = {
        "type": "rich_text_section",
        "elements": [
            {"type": "text", "text": "Ask "},
            {"type": "user", "user_id": "U2"},
            {"type": "text", "text": " about "},
            {"type": "link", "url": "https://a.example", "text": "the plan"},
        ],
    }
    rich = {
        "type": "rich_text",
        "elements": [section, {"type": "rich_text_list", "elements": [item, item]}],
    }
    preview = {"from_url": "https://a.example", "text": "Somebody else's words"}
    assert slack(
        {
            "bot_id": "B",
            "text": "",
            "blocks": [{"type": "section", "text": text, "fields": [text]}],
        },
        {"user": "U1", "text": "", "blocks": [rich]},
        {"bot_id": "B", "text": "Look:", "attachments": [{"text": "Pump 3 leaks"}, preview]},
        {"user": "U1", "text": "See", "attachments": [preview]},
    ) == [
        ("message", "Build 7 failed\nBuild 7 failed"),
        ("message", "Ask @U2 about [the plan](https://a.example)\none\none"),
        ("message", "Look:\nPump 3 leaks"),
        ("message", "See"),
    ]


def test_edited_messages_and_answers_of_slackbot() -> None:
    assert slack(
        {"subtype": "message_changed", "message": {"user": "U1", "text": "We take oak."}},
        {"subtype": "message_deleted", "previous_message": {"text": "gone"}},
        {"subtype": "slackbot_response", "text": "The fee is 900."},
    ) == [("message", "We take oak."), ("message", "The fee is 900.")]


def test_rows_of_json_lines_keep_their_notation() -> None:
    assert shown(
        read("jsonl", '{"a": {"b": [1, true, null]}, "c": null, "d": false, "e": "ä"}')
    ) == [("table_row", '{"b": [1, true, null]} | | false | ä')]


@pytest.mark.parametrize(
    ("field", "time"),
    [
        ('"time": "2026-05-03T10:31:00Z"', "2026-05-03T10:31:00Z"),
        ('"timestamp": 1700000000', "2023-11-14 22:13"),
        ('"created_at": 1700000000000', "2023-11-14 22:13"),
        ('"date": true', ""),
        ('"ts": 1e400', ""),
    ],
)
def test_messages_of_json_lines_have_their_time(field: str, time: str) -> None:
    reading = read("jsonl", f'{{"speaker": "Ann", "text": "Hi", {field}}}')
    assert [block.time for block in reading.blocks or ()] == [time]


def test_a_conversation_in_one_row_becomes_messages() -> None:
    row = (
        '{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes"}]}'
    )
    reading = read("jsonl", row)
    assert shown(reading) == [("message", "Hi"), ("message", "Yes")]
    assert [block.speaker for block in reading.blocks or ()] == ["user", "assistant"]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (
            '{"a": 1}\n{"text": "No.", "user": "Ann", "text": "Yes."}',
            "names 'text' twice in line 2",
        ),
        ('{"a": 1}\n{"a":\n', "no JSON in line 2"),
        ('{"a": ' + "9" * 5000 + "}", "no JSON in line 1"),
        ("[" * 100_000, "no JSON in line 1"),
    ],
)
def test_a_line_that_is_no_json_is_named(lines: str, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        read("jsonl", lines)


@pytest.mark.parametrize(
    ("chat", "found"),
    [
        ("2023-05-01 14:01:02 From Anna Lee to Everyone:\n\tHello\n", [("Anna Lee", "Hello")]),
        (
            "10:01:02 AM From Anna to Everyone:\r\n\tHello\r\n10:01:09 AM From Ben to Everyone:\r\n\tHi\r\n",
            [("Anna", "Hello"), ("Ben", "Hi")],
        ),
        (
            "13:02:19\t From Anna : one\ttwo\n13:02:20 pump off\n13:02:25\t From Ben : Hi\n",
            [("Anna", "one two\n13:02:20 pump off"), ("Ben", "Hi")],
        ),
        (
            "00:12:05\tAnna Lee:\tHello\n00:12:09\tBen:\tHi\n",
            [("Anna Lee", "Hello"), ("Ben", "Hi")],
        ),
    ],
)
def test_chats_of_several_versions_of_zoom(chat: str, found: list[tuple[str, str]]) -> None:
    reading = read("txt", chat)
    speakers = [block.speaker for block in reading.blocks or ()]
    assert list(zip(speakers, [words for _, words in shown(reading)], strict=True)) == found

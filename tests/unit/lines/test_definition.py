"""Tests that a line is validated when it is read, with an error for each problem."""

from __future__ import annotations

import textwrap

import pytest

from combine_core.lines import (
    InvalidLine,
    find_line,
    installed_lines,
    parse_line,
    render_prompt,
    service,
)
from combine_core.lines.definition import line_from_definition
from combine_core.lines.service import UnknownLine
from combine_core.llm import Material


def line(steps: str, more: str = "") -> str:
    return f"name: test\ntitle: Test\ndescription: A test.\n{more}steps:\n" + textwrap.indent(
        textwrap.dedent(steps), "  "
    )


STEP = """
- key: {key}
  kind: write
  title: Write
  system: s
  prompt: p
  needs: {needs}
  schema: {{type: object}}
"""


def step(key: str, needs: str = "[]") -> str:
    return STEP.format(key=key, needs=needs)


def test_the_shipped_line_brief_is_valid_and_stable() -> None:
    brief = find_line("brief")
    assert [step.key for step in brief.steps] == ["facts", "brief"]
    assert brief.step("brief").needs == ("facts",)
    assert list(brief.step("brief").answer_schema["properties"]) == [
        "summary",
        "key_points",
        "decisions",
        "numbers",
        "open_questions",
        "next_steps",
    ]
    assert line_from_definition(brief.definition).sha256 == brief.sha256


def test_the_error_for_an_unknown_line_lists_all_lines() -> None:
    with pytest.raises(UnknownLine, match=r"There are: .*brief"):
        find_line("nonsense")
    assert "brief" in installed_lines()


def test_two_packages_cannot_define_the_same_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "line_packages", lambda: ["combine_core.lines"] * 2)
    with pytest.raises(InvalidLine, match=r"Two packages have a line named brief\. Rename the one"):
        installed_lines.__wrapped__()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: [", "not valid YAML"),
        ("just text", "line"),
        (line(step("a") + step("a")), "same key"),
        (line(step("a", "[b]")), "needs b, which is not a step"),
        (line(step("a", "[b]") + step("b", "[a]")), "form a cycle"),
        (line(step("A")), "steps.0.key"),
        (line(step("a") + "  typo: 1\n"), "typo"),
        (line(step("a").replace("{type: object}", "{type: nonsense}")), "not a JSON Schema"),
        (line(step("a") + "  document: d\n"), "both document and template"),
        (line(step("a"), "limits: {max_sources: 0}\n"), "limits.max_sources"),
    ],
)
def test_errors_are_named(text: str, fault: str) -> None:
    with pytest.raises(InvalidLine, match=fault):
        parse_line(text)


def test_the_prompt_numbers_the_lines_of_each_source() -> None:
    facts = find_line("brief").step("facts")
    prompt = render_prompt(
        facts.prompt,
        [Material("S1", "id", "notes.md", "one\ntwo"), Material("S2", "id", "b", "x")],
        {},
    )
    assert "## Source S1: notes.md\n1| one\n2| two\n" in prompt
    assert "## Source S2: b\n1| x\n" in prompt


def test_the_prompt_of_the_second_step_shows_facts_with_evidence() -> None:
    brief = find_line("brief").step("brief")
    fact = {
        "text": "It is 5.",
        "kind": "number",
        "evidence": [{"source": "S1", "quote": "5"}],
        "verdict": "supported",
    }
    false = {**fact, "text": "It is 6.", "verdict": "unsupported"}
    prompt = render_prompt(brief.prompt, [], {"facts": {"facts": [fact, false]}})
    assert "It is 6." not in prompt
    assert '- [number] It is 5.\n  evidence: {"quote": "5", "source": "S1"}' in prompt


def test_a_source_cannot_be_a_template() -> None:
    facts = find_line("brief").step("facts")
    prompt = render_prompt(facts.prompt, [Material("S1", "id", "{{ 7*7 }}", "{% raw %}")], {})
    assert "{{ 7*7 }}" in prompt
    assert "{% raw %}" in prompt


LISTS = "{type: object, properties: {facts: {type: array}}}"


def each(schema: str = LISTS, needs: str = "[]") -> str:
    steps = step("first") + step("facts", needs).replace("{type: object}", schema)
    return line(steps.rstrip() + "\n  each: source\n")


def test_a_line_without_new_features_is_stored_as_before() -> None:
    plain = parse_line(line(step("facts")))
    assert plain.format == 1
    assert not {"each", "second_opinion"} & plain.definition["steps"][0].keys()
    reading_each = parse_line(each())
    assert reading_each.format == 2
    assert line_from_definition(reading_each.definition) == reading_each
    with_opinion = parse_line(line(step("facts").rstrip() + "\n  second_opinion: true\n"))
    assert with_opinion.format == 2


@pytest.mark.parametrize(
    ("definition", "problem"),
    [
        (each("{type: object}"), "only lists"),
        (each("{type: object, properties: {title: {type: string}}}"), "only lists"),
        (each(needs="[first]"), "no needs"),
    ],
)
def test_a_step_that_reads_each_source_joins_lists_and_needs_nothing(
    definition: str, problem: str
) -> None:
    with pytest.raises(InvalidLine, match=problem):
        parse_line(definition)


def test_a_part_of_a_source_keeps_its_line_numbers() -> None:
    material = Material("S1", "id", "notes.md", "third\nfourth", first_line=3)
    prompt = render_prompt(find_line("brief").step("facts").prompt, [material], {})
    assert "\n3| third\n4| fourth\n" in prompt

"""Tests the .env file beside the ini file: the rules of dotenv, and unreadable lines."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from combine_core.settings.sources import read_env_file


def read(tmp_path, content):
    path = tmp_path / ".env"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_env_file(path)


def test_a_missing_file_is_empty(tmp_path):
    found = read_env_file(tmp_path / ".env")
    assert (found.values, found.problems, found.warnings) == ({}, (), ())


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("export A=b", "b"),
        ("A = b ", "b"),
        ('A="b c"', "b c"),
        ("A='b c'", "b c"),
        ("A=b # comment", "b"),
        ("A=b#c", "b#c"),
        ("A=", ""),
        ("A=pa$x", "pa$x"),
        ("A=${HOME}", "${HOME}"),
        ('A="$(id)"', "$(id)"),
        ("A=%40%", "%40%"),
        ("\ufeffA=b", "b"),
        ("A=b\r\nB=c\r\n", "b"),
        ("# comment\n\nA=b", "b"),
    ],
)
def test_values_are_parsed(tmp_path, line, value):
    found = read(tmp_path, line)
    assert found.values["A"] == value
    assert found.problems == ()


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("A=b\ncanary\nC=d", 2),
        ("A=b\n\n\ncanary canary=1", 4),
        ("=canary", 1),
        ("A=b\r\nC=d\r\n'canary", 3),
        ('A=b\nC="canary', 2),
        ("A: canary", 1),
        ("A=b\nexport canary", 2),
    ],
)
def test_an_unreadable_line_is_named_by_its_number(tmp_path, content, line):
    found = read(tmp_path, content)
    assert [p.fault for p in found.problems] == [f"has a line {line} that cannot be read"]
    assert "canary" not in str(found.problems[0])


def test_the_other_lines_are_read(tmp_path):
    assert read(tmp_path, "A=b\nnonsense\nC=d").values == {"A": "b", "C": "d"}


def test_a_file_in_another_encoding_is_named_by_its_line(tmp_path):
    (problem,) = read(tmp_path, b"A=b\nB=canary\xff\n").problems
    assert problem.fault == "is not UTF-8 in line 2"
    (problem,) = read(tmp_path, "A=b".encode("utf-16")).problems
    assert problem.fault == "is not UTF-8 in line 1"


def test_a_folder_of_that_name_is_a_problem(tmp_path):
    (tmp_path / ".env").mkdir()
    (problem,) = read_env_file(tmp_path / ".env").problems
    assert problem.fault == "is not a file"


def test_an_inaccessible_path_is_a_problem(tmp_path):
    (tmp_path / "file").write_text("")
    (problem,) = read_env_file(tmp_path / ("x" * 5000) / ".env").problems
    assert "cannot be read" in problem.fault


def test_a_duplicate_variable_is_a_problem(tmp_path):
    found = read(tmp_path, "A=canary\nB=1\nA=canary2\nB=1\n")
    assert found.values == {"A": "canary2", "B": "1"}
    (warning,) = found.warnings
    assert warning.fault == "sets the variable of line 3 a second time, to another value"
    assert "canary" not in str(warning)


@given(content=st.binary(max_size=200))
@settings(deadline=None)
def test_any_content_raises_no_error(tmp_path_factory, content):
    folder = tmp_path_factory.getbasetemp()
    found = read(folder, content)
    assert all(isinstance(value, str) for value in found.values.values())

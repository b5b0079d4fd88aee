"""Tests which tables and columns an export contains."""

from combine_core.database import load_models
from combine_core.portability.rows import TABLES

# The tables that are not exported, with the reason.
STAYS = {
    "projects": "the manifest names it",
    "users": "people go along as names",
    "memberships": "no rights go along",
    "project_invitations": "no rights go along",
    "line_versions": "has its own member",
    "reviews": "has its own member",
    "review_people": "stands in the reviews",
    "review_decisions": "stands in the reviews",
    "comment_mentions": "stands in the comments",
    "imported_people": "has its own member",
    "imported_rows": "stands in the rows",
    "imported_reviews": "has its own member",
    "search_entries": "is made again",
    "idempotency_keys": "has the answers to requests of this service",
}
LEFT_OUT = {"indexed_revision", "indexed_version", "job_id"}


def test_every_table_of_a_project_is_exported_or_listed():
    """A new table of a project must be listed here or in the rows of an export."""
    tables = load_models().tables
    belongs, before = {"projects"}, set()
    while belongs != before:
        before = set(belongs)
        belongs |= {
            table.name
            for table in tables.values()
            if any(key.column.table.name in before for key in table.foreign_keys)
        }
    ours = {name for name in belongs if not name.startswith(("oauth_", "personal_"))}
    goes = {each.name for table in TABLES.values() for each in (table, *table.inner)}
    assert ours - goes - STAYS.keys() == set()
    assert goes & STAYS.keys() == set()


def test_all_columns_but_a_few_are_exported():
    for table in TABLES.values():
        for each in (table, *table.inner):
            there = {column.name for column in each.table.columns}
            missing = there - {column.name for column in each.columns}
            assert missing <= LEFT_OUT | {"project_id", each.parent}

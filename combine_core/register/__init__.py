"""The register of the decisions, actions and open questions of approved documents."""

from combine_core.register.model import Change, Item, ItemKind, ItemState, Saying
from combine_core.register.service import (
    NothingProposed,
    all_items,
    change_item,
    decide_sameness,
    delete_quotes_of,
    enter_version,
    find_item,
    is_quoted,
    items_quoting_only,
    list_items,
    lock_item,
    settle,
)

__all__ = [
    "Change",
    "Item",
    "ItemKind",
    "ItemState",
    "NothingProposed",
    "Saying",
    "all_items",
    "change_item",
    "decide_sameness",
    "delete_quotes_of",
    "enter_version",
    "find_item",
    "is_quoted",
    "items_quoting_only",
    "list_items",
    "lock_item",
    "settle",
]

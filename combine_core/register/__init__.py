"""The register: decisions, actions and open questions of approved documents, which outlives each document."""

from combine_core.register.model import Change, Event, Item, ItemKind, ItemState, Saying
from combine_core.register.service import (
    NothingProposed,
    all_items,
    change_item,
    decide_sameness,
    enter_version,
    find_item,
    forget_source,
    is_quoted,
    items_quoting_only,
    list_items,
    lock_item,
    settle,
)

__all__ = [
    "Change",
    "Event",
    "Item",
    "ItemKind",
    "ItemState",
    "NothingProposed",
    "Saying",
    "all_items",
    "change_item",
    "decide_sameness",
    "enter_version",
    "find_item",
    "forget_source",
    "is_quoted",
    "items_quoting_only",
    "list_items",
    "lock_item",
    "settle",
]

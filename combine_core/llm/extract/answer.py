"""Fills any JSON Schema whose lists contain items: text with evidence.

Lists get what their name and description ask for. Other fields get a value only by a rule: a
constant, a default, what is known of the sentence (its kind, speaker, owner, due date, heading). A
required field without a rule gets the neutral value of its type (null, false, the least number, the
first words of the sentence), so that the answer matches the schema.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from combine_core.llm.extract.choice import Build, Pool
from combine_core.llm.extract.criteria import Criterion, criterion_of_name, criterion_of_property
from combine_core.llm.extract.items import Item
from combine_core.llm.extract.schema import AnswerSchema, Node

# The number of items for a list without a limit in its schema.
DEFAULT_MAX_ITEMS = 40

_MAX_DEPTH = 12
_NOTHING: Final = object()
_EVIDENCE_KEYS = frozenset({"source", "line_from", "line_to", "quote"})


def write_answer(schema: Mapping[str, Any], items: list[Item]) -> Any:
    """The answer as JSON values. Raises `ProviderError` if the schema cannot be used."""
    answer_schema = AnswerSchema(schema)
    value = _Writer(answer_schema, Pool(items)).fill("", answer_schema.root, set(), _MAX_DEPTH)
    return None if value is _NOTHING else value


class _Writer:
    def __init__(self, schema: AnswerSchema, pool: Pool) -> None:
        self._schema = schema
        self._pool = pool

    def fill(self, name: str, node: Any, used: set[str], depth: int) -> Any:
        node = self._schema.resolve(node)
        kind = _type_of(node)
        if "const" in node:
            return node["const"]
        if depth == 0:
            return _NOTHING
        if kind == "object" and not _is_item(node):
            return self._object(node, used, depth)
        if kind == "array":
            return self._array(name, node, used, depth)
        if kind == "object" or (kind == "string" and node.keys().isdisjoint({"default", "enum"})):
            # A text may repeat an item that a list contains.
            taken = used if kind == "object" else set()
            criterion = criterion_of_property(name, node)
            best = self._choose(criterion, node, at_least=1, at_most=1, used=taken)
            return best[0] if best else _NOTHING
        return node.get("default", _NOTHING)

    def _object(self, node: Node, used: set[str], depth: int) -> dict[str, Any]:
        filled = {}
        parts = node.get("properties", {})
        # A decision with a figure stands among the decisions, wherever the schema names these.
        for name in sorted(parts, key=lambda name: self._takes_any_kind(name, parts[name])):
            part = parts[name]
            value = self.fill(name, part, used, depth - 1)
            if value is _NOTHING and name in node.get("required", ()):
                value = _neutral(self._schema.resolve(part), "")
            if value is not _NOTHING:
                filled[name] = value
        return {name: filled[name] for name in parts if name in filled}

    def _takes_any_kind(self, name: str, part: Any) -> bool:
        node = self._schema.resolve(part)
        return _type_of(node) == "array" and criterion_of_property(name, node).kind is None

    def _array(self, name: str, node: Node, used: set[str], depth: int) -> list[Any]:
        element = self._schema.resolve(node.get("items", {}))
        kind = _type_of(element)
        if kind == "string" or (kind == "object" and _is_item(element)):
            at_most = int(node.get("maxItems", DEFAULT_MAX_ITEMS))
            at_least = min(int(node.get("minItems", 0)), at_most)
            criterion = criterion_of_property(name, node)
            return self._choose(criterion, element, at_least=at_least, at_most=at_most, used=used)
        if kind == "object" and node.get("maxItems", 1) > 0:
            # A list of groups: one group.
            group = self.fill(name, element, used, depth - 1)
            return [group] if group is not _NOTHING and _holds_something(group) else []
        return []

    def _choose(
        self, criterion: Criterion, element: Node, *, at_least: int, at_most: int, used: set[str]
    ) -> list[Any]:
        chosen = self._pool.choose(
            criterion,
            self._builder(element),
            at_least=at_least,
            at_most=at_most,
            mixed=criterion.general and self._tells_kinds(element),
            used=used,
        )
        used.update(item.key for item, _ in chosen)
        return [value for _, value in chosen]

    def _tells_kinds(self, element: Node) -> bool:
        """Check whether each item has a field for its kind, so that the list may mix all kinds."""
        parts = map(self._schema.resolve, element.get("properties", {}).values())
        for part in parts:
            named = [each for value in part.get("enum", ()) if (each := _criterion_of(value))]
            if len({criterion.kind for criterion in named}) > 1:
                return True
        return False

    def _builder(self, element: Node) -> Build:
        """Returns a function that makes a value of an item, None if it does not fit."""
        fits = self._schema.checker(element).is_valid
        fields = {
            name: self._schema.resolve(part) for name, part in element.get("properties", {}).items()
        }
        required = frozenset(element.get("required", ()))

        def build(item: Item) -> Any:
            if not fields:
                made: Any = item.text
            else:
                made = {}
                for name, field in fields.items():
                    value = _field(name, field, item, required=name in required)
                    if value is not _NOTHING:
                        made[name] = value
            return made if fits(made) else None

        return build


def _field(name: str, field: Node, item: Item, *, required: bool) -> Any:
    """The value of one field of an item; _NOTHING if no rule knows it and it is optional."""
    if name == "text":
        return item.text
    if name == "evidence":
        evidence = item.evidence[: int(field.get("maxItems", len(item.evidence)))]
        return [{key: e[key] for key in e if key in _EVIDENCE_KEYS} for e in evidence]
    if "const" in field:
        return field["const"]
    allowed = field.get("enum")
    if name in item.fields and (allowed is None or item.fields[name] in allowed):
        return item.fields[name]
    if allowed is not None:
        value = _kind(allowed, item)
        if value is not _NOTHING:
            return value
    return _neutral(field, item.text) if required else field.get("default", _NOTHING)


def _kind(allowed: list[Any], item: Item) -> Any:
    """The value for the item's kind, else one for statements, else one of its words."""
    named = [(value, each) for value in allowed if (each := _criterion_of(value))]
    fitting = [value for value, each in named if each.kind is item.kind]
    fitting += [value for value, each in named if each.general]
    said = {word.casefold() for word in re.findall(r"\w+", item.text)}
    fitting += [
        value
        for value in allowed
        if isinstance(value, str) and value and set(value.casefold().split()) <= said
    ]
    return fitting[0] if fitting else _NOTHING


def _criterion_of(value: Any) -> Criterion | None:
    return criterion_of_name(value) if isinstance(value, str) else None


def _neutral(field: Node, text: str) -> Any:
    if "default" in field:
        return field["default"]
    if allowed := field.get("enum"):
        return None if None in allowed else allowed[0]
    types = field.get("type")
    if isinstance(types, list) and "null" in types:
        return None
    match _type_of(field):
        case "string":
            return _shorten(text, int(field.get("maxLength", 200)))
        case "integer" | "number" as kind:
            number = _first_number(text)
            least = field.get("minimum", 0)
            if number is None or number < least or number > field.get("maximum", number):
                number = least
            return int(number) if kind == "integer" else number
        case kind:
            return {"boolean": False, "array": [], "object": {}, "null": None}.get(kind, _NOTHING)


def _first_number(text: str) -> float | None:
    """The first figure of a text: "1.5 GB" gives 1.5."""
    match = re.search(r"(?<![\w.,])-?\d+(?:[.,]\d+)?", text)
    return float(match[0].replace(",", ".")) if match else None


def _shorten(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    return text[:longest].rpartition(" ")[0] or text[:longest]


def _type_of(node: Node) -> str:
    kind = node.get("type")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "null")
    if isinstance(kind, str):
        return kind
    if "properties" in node:
        return "object"
    return "array" if "items" in node else ""


def _is_item(node: Node) -> bool:
    return "text" in node.get("properties", {})


def _holds_something(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_holds_something(part) for part in value.values())
    return bool(value)

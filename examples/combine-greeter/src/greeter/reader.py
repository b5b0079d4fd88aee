from combine_core.readers import BlockKind, Builder, Reading, Unreadable


def read(data: bytes, name: str) -> Reading:
    """A note: NOTE in the first line, then a paragraph in each line."""
    head, *paragraphs = data.decode().splitlines()
    if head != "NOTE":
        raise Unreadable("is no note. Save it again.")
    builder = Builder()
    builder.heading(1, "Note")
    for paragraph in paragraphs:
        builder.add(BlockKind.PARAGRAPH, paragraph)
    return builder.reading()

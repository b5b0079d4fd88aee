from combine_core.readers import BlockKind, Builder, Reading, Unreadable


def read(data: bytes, name: str) -> Reading:
    """Read a note: NOTE in the first line, then one paragraph per line."""
    head, *paragraphs = data.decode().splitlines()
    if head != "NOTE":
        raise Unreadable("is not a note: the first line must be NOTE.")
    builder = Builder()
    builder.heading(1, "Note")
    for paragraph in paragraphs:
        builder.add(BlockKind.PARAGRAPH, paragraph)
    return builder.reading()

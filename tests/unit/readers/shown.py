"""Reads small files in the process of the test. Other tests cover the limits."""

from __future__ import annotations

from combine_core.readers import Reading
from combine_core.readers.process import load_reader


def read(name: str, data: bytes | str) -> Reading:
    """Read a file with the reader for the extension ``name``."""
    data = data.encode() if isinstance(data, str) else data
    return load_reader(f".{name}")(data, f"file.{name}")


def shown(reading: Reading) -> list[tuple[str, str]]:
    """Return the kind and the words of each block."""
    assert reading.blocks is not None
    text = reading.text
    return [(block.kind.value, text[block.body : block.end].strip()) for block in reading.blocks]


def pdf(*pages: list[str]) -> bytes:
    """Return a small PDF file: a list of lines for each page."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", ""]
    kids = []
    for lines in pages:
        drawn = " ".join(f"({line}) Tj 0 -14 Td" for line in lines)
        content = f"BT /F1 12 Tf 50 700 Td {drawn} ET"
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
        font = "<< /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {len(objects)} 0 R"
            f" /Resources {font} >>"
        )
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    out = b"%PDF-1.4\n"
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode()
    table = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    out += b"".join(f"{offset:010d} 00000 n \n".encode() for offset in offsets)
    return (
        out
        + f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF".encode()
    )

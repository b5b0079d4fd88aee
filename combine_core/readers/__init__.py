"""Reads files: the text whose numbered lines evidence quotes, and its blocks."""

from combine_core.readers.block import SILENT, Block, BlockKind, block_at
from combine_core.readers.markdown import read_blocks

__all__ = ["SILENT", "Block", "BlockKind", "block_at", "read_blocks"]

"""Exports: orders and journal as CSV or JSON lines, the ledger as plain-text accounting; streamed, and resumable."""

from orderway.export.accounting import export_ledger
from orderway.export.chunks import Chunk, Write, export_journal, export_orders
from orderway.export.file import ExportFile
from orderway.export.formats import Format

__all__ = ["Chunk", "ExportFile", "Format", "Write", "export_journal", "export_ledger", "export_orders"]

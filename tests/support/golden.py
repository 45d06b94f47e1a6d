"""Snapshot files of plain text, one for each test."""

from __future__ import annotations

from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode


class Golden(SingleFileSnapshotExtension):
    """A text file with exactly what is printed, so that a diff is readable."""

    _write_mode = WriteMode.TEXT
    file_extension = "txt"

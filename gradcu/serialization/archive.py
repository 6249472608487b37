"""The zip files of checkpoints: records that are not compressed, each storage at a multiple of 64 bytes."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from typing import Any

_ALIGNMENT = 64
_FOLDER = "archive/"  # of all records in a file written here
_HEADER = struct.Struct("<4s22xHH")  # of a record: signature, ..., lengths of its name and of what follows that


class Writer:
    """A block that writes records one after another; at its end the directory is written."""

    def __init__(self, file: Any) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_STORED)

    def write(self, name: str, data: Any) -> None:
        """One record, of bytes or of another one-dimensional buffer of bytes."""
        record = zipfile.ZipInfo(_FOLDER + name)
        record.file_size = len(data)
        wide = record.file_size * 1.05 > zipfile.ZIP64_LIMIT  # when zipfile takes 20 more bytes for the lengths
        start = self._zip.fp.tell() + _HEADER.size + len(record.filename) + 4 + 20 * wide  # type: ignore[union-attr]
        padding = -start % _ALIGNMENT
        record.extra = struct.pack("<2sH", b"FB", padding) + b"Z" * padding
        with self._zip.open(record, "w") as out:
            out.write(data)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, error: type | None, *more: object) -> None:
        if error is not None:
            self._zip.fp = None  # what was written is to be forgotten: it gets no directory
        self._zip.close()


class Reader:
    """The records of a zip file by name, without the folder that all are in.

    Raises RuntimeError for a file that is no whole zip archive of plain records.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        try:
            with zipfile.ZipFile(file) as archive:
                entries = archive.infolist()
        except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError, OverflowError) as error:
            raise _failure(str(error)) from None
        self._records: dict[str, zipfile.ZipInfo] = {}
        self.folder = entries[0].filename.partition("/")[0] if entries else ""
        for entry in entries:
            name = entry.filename
            folder, _, inner = name.partition("/")
            if not inner or folder != self.folder or ".." in name.split("/") or "\\" in name or inner in self._records:
                raise _failure(f"the record {name!r} has no place in a checkpoint")
            self._records[inner] = entry
        if sum(entry.file_size for entry in entries) > self._size:
            raise _failure("its records claim to be larger than the file")

    def __contains__(self, name: str) -> bool:
        return name in self._records

    def size(self, name: str) -> int:
        """The bytes of a record. Raises RuntimeError if there is none of that name."""
        if name not in self._records:
            raise _failure(f"file not found: {self.folder}/{name}")
        return self._records[name].file_size

    def offset(self, name: str) -> int:
        """Where in the file a record's bytes are."""
        size, entry = self.size(name), self._records[name]
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != size or entry.flag_bits & 1:
            raise _failure(f"the record {name!r} is compressed or encrypted")
        self._file.seek(max(entry.header_offset, 0))
        header = self._file.read(_HEADER.size)
        if len(header) != _HEADER.size:
            raise _failure(f"the record {name!r} is outside of the file")
        signature, name_length, extra_length = _HEADER.unpack(header)
        start = entry.header_offset + _HEADER.size + name_length + extra_length
        if signature != b"PK\3\4" or start + size > self._size:
            raise _failure(f"the record {name!r} is not where the directory says")
        return start

    def read(self, name: str) -> bytes:
        """A record's bytes."""
        data = bytearray(self.size(name))
        self.read_into(name, data)
        return bytes(data)

    def read_into(self, name: str, data: Any) -> None:
        """Fill a buffer of the record's size, and compare the checksum."""
        self._file.seek(self.offset(name))
        read_into(self._file, data)
        if zlib.crc32(data) != self._records[name].CRC:
            raise _failure(f"the record {name!r} is corrupt: its checksum is another")


def read_into(file: Any, data: Any) -> None:
    """Fill a buffer from a file. Raises RuntimeError if the file ends before."""
    view, done = memoryview(data), 0
    while done < len(view):
        if hasattr(file, "readinto"):
            count = file.readinto(view[done:])
        else:
            chunk = file.read(len(view) - done)
            count = len(chunk)
            view[done : done + count] = chunk
        if not count:
            raise RuntimeError(f"unexpected EOF, expected {len(view) - done} more bytes. The file might be corrupted.")
        done += count


def _failure(reason: str) -> RuntimeError:
    return RuntimeError(f"PytorchStreamReader failed reading zip archive: {reason}")

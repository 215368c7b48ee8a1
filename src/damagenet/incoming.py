"""Files of strangers: their bytes within bounds, and their names in one printable line."""

from __future__ import annotations

import io
import re
import stat
from pathlib import Path
from typing import BinaryIO

from damagenet import BadInput

MAX_BYTES = 200_000_000
"""Larger files are refused unread."""
MAX_SCANS = 100
"""Passes over one JPEG picture: encoders make ten, and each costs the time of a whole picture."""
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""A JPEG marker among compressed pixels."""


def shown(text: object) -> str:
    """A file's name, or an error's text, in one line that can be printed anywhere.

    Names of strangers may hold line ends, terminal commands and bytes that are no text.
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode()
        for c in str(text)
    )


def content(source: str | Path | bytes | BinaryIO, name: str | None = None) -> bytes:
    """The bytes of a file, never more than `MAX_BYTES`.

    Args:
        source: A path, the bytes themselves, or a binary file object.
        name: What to call the source in errors; the path when there is one.

    Raises:
        BadInput: No such file, a folder, a pipe or device (which might never end), empty, too
            large, or not readable.
    """
    name = shown(name or (source if isinstance(source, str | Path) else "image data"))
    try:
        if isinstance(source, bytes):
            data = source
        elif isinstance(source, str | Path):
            mode = Path(source).stat().st_mode  # before opening: a pipe would wait for a writer
            if stat.S_ISDIR(mode):
                raise BadInput(f"{name}: is a folder, not a picture")
            if not stat.S_ISREG(mode):
                raise BadInput(f"{name}: is a pipe or a device, not a picture file")
            with Path(source).open("rb") as handle:
                data = handle.read(MAX_BYTES + 1)
        else:
            if source.seekable():
                source.seek(0)
            data = bytes(source.read(MAX_BYTES + 1))
    except (FileNotFoundError, NotADirectoryError):
        raise BadInput(f"{name}: no such file") from None
    except PermissionError:
        raise BadInput(f"{name}: no permission to read it") from None
    except (OSError, ValueError, TypeError, AttributeError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or shown(error)
        raise BadInput(f"{name}: cannot be read ({reason})") from None
    if not data:
        raise BadInput(f"{name}: the file is empty (0 bytes); copy it again")
    if len(data) > MAX_BYTES:
        raise BadInput(
            f"{name}: larger than {MAX_BYTES // 1_000_000} MB; save it as JPEG or shrink it first"
        )
    return data


class Patient(io.BytesIO):
    """A file in memory that gives up on a reader who asks too often or for too much.

    Pillow walks markers, chunks and blocks one `read` at a time, joins EXIF segments and unpacks
    tables whole: 20 MB of such pieces would keep it busy for minutes or fill the memory.
    """

    reads = 20_000
    bytes_left = 16_000_000
    """Of what is asked for by size; formats that are unpacked at once ask for everything."""

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file; `OSError` when patience ends."""
        self.reads -= 1
        self.bytes_left -= max(0, size or 0)
        if self.spent():
            raise OSError("too many or too large pieces of metadata")
        return super().read(size)

    def spent(self) -> bool:
        """Whether patience has ended."""
        return self.reads < 0 or self.bytes_left < 0

    def start_pixels(self) -> None:
        """From now on reading is for pixels, which come in many chunks."""
        self.reads, self.bytes_left = 1_000_000, 10 * MAX_BYTES


def scans(data: bytes) -> int:
    """Scans of the first picture in a JPEG file, or a number above `MAX_SCANS`."""
    found, at = 0, 2
    for _ in range(Patient.reads):
        marker = _MARKER.search(data, at)
        if marker is None or data[marker.start() + 1] == 0xD9 or found > MAX_SCANS:
            return found  # films and further pictures may follow the end
        found += data[marker.start() + 1] == 0xDA
        at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
    return MAX_SCANS + 1

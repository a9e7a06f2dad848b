"""Numbers of bytes as people read them; as bare digits the log would mask them as phone numbers."""


def size(count: int) -> str:
    """`8,192 bytes`, `2.9 MiB`, `37.3 GiB`."""
    for unit, length in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20)):
        if count >= length:
            return f"{count / length:,.1f} {unit}"
    return f"{count:,} bytes"

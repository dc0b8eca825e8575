"""Whether the machine ran out of something: that says nothing about the file at hand."""

from __future__ import annotations

import errno

#: What the system says where memory, processes or open files are used up.
_ERRNO = frozenset((errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN))
#: How native libraries say it, which have no type for it.
_WORDS = (
    "bad_alloc",
    "out of memory",
    "unable to allocate",
    "can't allocate memory",
    "insufficient memory",
    "failed to allocate memory",
)

OUT_OF = "memory, processes or open files ran out; free some, lower --workers or raise ulimit -n"


def is_shortage(error: BaseException | None) -> bool:
    """Whether an error, or one that it came from, says that the machine ran out of something.

    What is raised of a `MemoryError` may be of any type, a `Withheld` too.
    """
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        if isinstance(error, OSError) and error.errno in _ERRNO:
            return True
        told = str(error).lower()
        if any(words in told for words in _WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False


def reraise_shortage(error: Exception) -> None:
    """Raise `error` again where it is a shortage, so that it becomes no verdict over a file."""
    if is_shortage(error):
        raise error

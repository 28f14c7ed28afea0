"""One line for a place that the system does not let a command read or write."""

import errno

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a full disk and of a used-up quota."""
REFUSALS = (*FULL, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG)
PLACES = "--out, VGSEARCH_CACHE, RAY_TMPDIR, TMPDIR"


def refused_place(error: BaseException | None) -> str:
    """The file and the reason, if `error` or what it was raised from is such a refusal; empty for any other error."""
    seen = set[int]()
    while error is not None and id(error) not in seen:
        if isinstance(error, OSError) and error.filename and error.errno in REFUSALS:
            remedy = "Free some space there" if error.errno in FULL else "Make it usable"
            return (
                f"{error.filename2 or error.filename}: {error.strerror}. {remedy}, or choose another place: {PLACES}."
            )
        seen.add(id(error))
        within = getattr(error, "cause", None)  # Ray's, of an error in a task
        error = within if isinstance(within, BaseException) else error.__cause__ or error.__context__
    return ""

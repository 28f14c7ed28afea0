"""One line for a place that the system does not let a command read or write."""

import errno

REFUSALS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOSPC, errno.EDQUOT, errno.ENAMETOOLONG)


def refused_place(error: BaseException | None) -> str:
    """The file and the reason, if `error` or what it was raised from is such a refusal; empty for any other error."""
    seen = set[int]()
    while error is not None and id(error) not in seen:
        if isinstance(error, OSError) and error.filename and error.errno in REFUSALS:
            name = error.filename2 or error.filename
            return (
                f"{name}: {error.strerror}. Make it usable, or choose another place: --out, VGSEARCH_CACHE, RAY_TMPDIR."
            )
        seen.add(id(error))
        within = getattr(error, "cause", None)  # Ray's, of an error in a task
        error = within if isinstance(within, BaseException) else error.__cause__ or error.__context__
    return ""

"""Writes to an object store that fail if another process has written first: `If-None-Match: *` and `If-Match`.

pyarrow, which does all other reading and writing, has no conditions; obstore does S3's and Google's.
"""

import configparser
import os
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from videogan.storage.places import RemotePath, StorageError

if TYPE_CHECKING:  # imported inside functions: only drivers write, and only if the experiment is on an object store
    from obstore.store import ObjectStore

Tag = dict[str, str]
"""The version of an object's content: its ETag, or its generation on Google's storage."""
Result = TypeVar("Result")
SECONDS_OF_AN_ANSWER = 10
"""After which a request without an answer is sent again; obstore repeats none that took its whole retry_timeout."""
N_RETRIES = 3
"""Of one request; `retry.with_retries` repeats whole actions for longer."""
_KEYS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")


class Changed(RuntimeError):
    """Another process has created, replaced or deleted the object first."""


def create(path: RemotePath, content: bytes) -> Tag:
    """Write a new object; raises Changed if it exists, StorageError if the storage does not answer or refuses."""
    return _put(path, content, "create")


def replace(path: RemotePath, content: bytes, tag: Tag) -> Tag:
    """Write an object whose version is `tag`; raises Changed if it has another or is gone, StorageError as `create`."""
    return _put(path, content, tag)


def read(path: RemotePath) -> tuple[bytes, Tag] | None:
    """An object's content and version, in one request; None if there is none. Raises StorageError."""
    import obstore

    def get() -> tuple[bytes, Tag] | None:
        try:
            found = obstore.get(_store(path.root), path.key)
        except FileNotFoundError:
            return None
        return bytes(found.bytes()), _tag(found.meta)

    return _asked(path, get)


def _put(path: RemotePath, content: bytes, mode: Any) -> Tag:  # Any: obstore's own types of modes
    import obstore

    return _asked(path, lambda: _tag(obstore.put(_store(path.root), path.key, content, mode=mode, use_multipart=False)))


def _tag(found: Any) -> Tag:
    """Any: obstore's dicts, which hold None for what a storage lacks."""
    return {name: found[name] for name in ("e_tag", "version") if found[name] is not None}


def _asked(path: RemotePath, ask: Callable[[], Result]) -> Result:
    from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

    try:
        return ask()
    except (AlreadyExistsError, PreconditionError) as error:
        raise Changed(str(path)) from error
    except (BaseError, OSError, ValueError) as error:
        raise StorageError(
            f"{path}: {next(iter(str(error).splitlines()), type(error).__name__)}. Check the address, the access keys "
            "in the environment or in ~/.aws/credentials, and AWS_ENDPOINT_URL if you use your own S3 server."
        ) from error


@lru_cache
def _store(root: str) -> "ObjectStore":
    """The store of a bucket, with the keys, region and endpoint that pyarrow finds for it too."""
    from obstore.store import from_url

    scheme, _, bucket = root.partition("://")
    is_plain = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http:")
    # Any: obstore types the settings of each kind of store apart.
    settings: dict[str, Any] = {
        "client_options": {"allow_http": is_plain, "connect_timeout": "5s", "timeout": f"{SECONDS_OF_AN_ANSWER}s"},
        "retry_config": {
            "max_retries": N_RETRIES,
            "retry_timeout": timedelta(seconds=N_RETRIES * SECONDS_OF_AN_ANSWER),
        },
    }
    return from_url(root, **settings, **(_settings(bucket) if scheme == "s3" else {}))


def _settings(bucket: str) -> dict[str, Any]:
    """What obstore does not find itself: the bucket's region, and the keys in ~/.aws/credentials."""
    from pyarrow import fs

    found = {}
    if not {"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"} & os.environ.keys():
        found["region"] = fs.resolve_s3_region(bucket)
    if "AWS_ACCESS_KEY_ID" not in os.environ:
        profiles = configparser.ConfigParser(interpolation=None)
        profiles.read(os.path.expanduser(os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")))
        profile = os.environ.get("AWS_PROFILE", "default")
        found |= {name: profiles[profile][name] for name in _KEYS if profiles.has_option(profile, name)}
    return found

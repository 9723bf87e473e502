"""What MLflow's errors mean for a delivery: try again, or never again."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from ganforge.core.errors import StorageError
from ganforge.core.redaction import mask_text
from ganforge.tracking.sink import Gone, Refused, Unreachable

_FOR_GOOD = {
    "INVALID_PARAMETER_VALUE",
    "BAD_REQUEST",
    "RESOURCE_DOES_NOT_EXIST",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "RESOURCE_ALREADY_EXISTS",
    "NOT_IMPLEMENTED",
}
"""MLflow's words for what it will not take another time either. Missing rights are not among them: somebody may grant them."""

_HOPELESS = {errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL}
"""What the operating system will not do another time either."""

_NO_ANSWER = ("API request to", "failed with exception", "Max retries exceeded", "Connection refused")


@contextmanager
def understood() -> Iterator[None]:
    """Turn whatever comes out of MLflow, its store or the network into one of the three ways in which a sink fails.

    Raises:
        Unreachable, Refused, Gone: see :mod:`ganforge.tracking.sink`.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (Unreachable, Refused, Gone):
        raise
    except MlflowException as error:
        raise _from_mlflow(error) from error
    except (OSError, StorageError) as error:  # disk full, and requests' own errors, which are OSErrors too
        raise _from_system(error) from error
    except (ValueError, TypeError, OverflowError, KeyError) as error:
        raise Refused(mask_text(f"{type(error).__name__}: {error}")) from error
    except Exception as error:
        # A true boundary: database drivers and cloud storage each bring errors of their own. Training must not feel any of them.
        raise Unreachable(mask_text(f"{type(error).__name__}: {error}"), suspicious=True) from error


def _from_mlflow(error: Exception) -> Exception:
    code = str(getattr(error, "error_code", ""))
    message = mask_text(str(error))
    if "database schema" in message or "Can't locate revision" in message:
        return Unreachable(f"{message} (the store was made by another MLflow: back it up, then run `mlflow db upgrade URI`)")
    if code in _FOR_GOOD:
        return Refused(message)
    answered = not any(words in message for words in _NO_ANSWER)
    return Unreachable(message, suspicious=code == "INTERNAL_ERROR" and answered)


def _from_system(error: Exception) -> Exception:
    status = getattr(getattr(error, "response", None), "status_code", None)
    message = mask_text(f"{type(error).__name__}: {error}")
    if status in {400, 404, 413, 415, 422}:
        return Refused(message)
    if getattr(error, "errno", None) in _HOPELESS:
        return Refused(message)
    return Unreachable(message, suspicious=status == 500)

"""Rows of a data set on the Hugging Face Hub, streamed through `datasets`; the only part of the pool that touches the network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..errors import PoolError
from .row import Row
from .tables import BATCH, table_rows


def hub_rows(name: str, split: str) -> Iterator[Row]:
    """Stream one split of a data set; `owner/name:config` names one of its configurations.

    HF_HOME, HF_TOKEN and HF_HUB_OFFLINE count as everywhere.

    Raises:
        PoolError: no such path here, and no such data set there or no way to reach it.
        PoolError: the data set is there, but not that split or configuration.
    """
    import datasets
    from huggingface_hub.errors import HfHubHTTPError

    owner_name, _, config_name = name.partition(":")
    try:
        data = datasets.load_dataset(owner_name, config_name or None, split=split, streaming=True)
    except (datasets.exceptions.DatasetNotFoundError, OSError, HfHubHTTPError) as error:
        # Offline and unreachable are OSErrors (ConnectionError) of several libraries.
        raise PoolError(
            f"no pool at {name!r}: no file or folder of that name here, and the Hub gave {_said(error)}. "
            "Correct pool.path; for the Hub, check the network, HF_TOKEN and HF_HUB_OFFLINE."
        ) from None
    except ValueError as error:
        raise PoolError(
            f"cannot read {name!r} from the Hub with split {split!r}: {_said(error)}. Set split, or name owner/name:config."
        ) from None
    return _rows(data, name)


def _rows(data: Any, name: str) -> Iterator[Row]:  # noqa: ANN401 - the package is loaded where it is needed
    try:
        yield from table_rows(data.with_format("arrow").iter(BATCH), name)
    except OSError as error:
        raise PoolError(
            f"reading {name!r} from the Hub broke off: {_said(error)}. Try again, or download it."
        ) from None


def _said(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__

"""The processes of a distributed run."""
from __future__ import annotations

from typing import Any

from udi._call import Handle, ask, call, documented, new_out
from udi._configs import GroupConfig
from udi._context import Context


class Group(Handle):
    """The processes of a distributed run, this one among them."""

    @documented("udi_group_create")
    def __init__(self, context: Context, config: GroupConfig | None = None, **fields: Any) -> None:
        """fields: of GroupConfig: Group(context, timeout=60)."""
        owner = new_out("udi_group", context._lane)
        call("udi_group_create", context, GroupConfig._from(config, fields), owner)
        super().__init__(owner, context._lane)

    @property
    def rank(self) -> int:
        """0 to world - 1."""
        return int(ask("udi_group_rank", self))

    @property
    def world(self) -> int:
        """The number of ranks."""
        return int(ask("udi_group_world", self))

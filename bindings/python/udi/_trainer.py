"""Training."""
from __future__ import annotations

import os
from typing import Any

from udi._call import Handle, ask, call, documented, new_out
from udi._config import choice
from udi._configs import TrainConfig
from udi._context import Context
from udi._data import Loader, Views
from udi._group import Group
from udi._header import Role, StepStats
from udi._model import Model
from udi._udi import ffi


class Trainer(Handle):
    """Student, teacher, centers, optimizer, schedules."""

    @documented("udi_trainer_create")
    def __init__(self, model: Model, config: TrainConfig | None = None, **fields: Any) -> None:
        """In the model's context. fields: of TrainConfig: Trainer(model, total_steps=1000, lr=1e-3)."""
        owner = new_out("udi_trainer", model._lane)
        call("udi_trainer_create", Handle(model._lane, model._lane), model, TrainConfig._from(config, fields), owner)
        super().__init__(owner, model._lane)

    @classmethod
    @documented("udi_trainer_load")
    def load(cls, context: Context, path: str | os.PathLike[str], loader: Loader | None = None) -> Trainer:
        owner = new_out("udi_trainer", context._lane)
        call("udi_trainer_load", context, path, loader, owner)
        trainer = cls.__new__(cls)
        Handle.__init__(trainer, owner, context._lane)
        return trainer

    @documented("udi_trainer_join")
    def join(self, group: Group) -> None:
        call("udi_trainer_join", self, group)

    @documented("udi_trainer_step")
    def step(self, *views: Views) -> StepStats:
        """One step: stats = trainer.step(views). Ctrl-C raises KeyboardInterrupt, and the step can be taken again."""
        opened = [view._as_argument() for view in views]
        stats = ffi.new("udi_step_stats *", {"struct_size": ffi.sizeof("udi_step_stats")})
        pointers = ffi.new("udi_views *[]", [pointer for pointer, _ in opened] or 1)
        call("udi_trainer_step", self, pointers, len(opened), stats)
        found = (getattr(stats, name) for name in StepStats._fields)
        return StepStats._make(tuple(value) if isinstance(value, ffi.CData) else value for value in found)

    @property
    def steps(self) -> int:
        """Steps done."""
        return int(ask("udi_trainer_steps", self))

    @documented("udi_trainer_model")
    def model(self, role: Role | str = Role.TEACHER) -> Model:
        owner = new_out("udi_model", self._lane)
        call("udi_trainer_model", self, choice(Role, role), owner)
        return Model._of(owner, self._lane)

    @documented("udi_trainer_save")
    def save(self, path: str | os.PathLike[str], loader: Loader | None = None) -> None:
        call("udi_trainer_save", self, loader, path)

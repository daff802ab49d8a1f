"""Models: weights in, tokens out."""
from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from udi._arrays import Array, Image, adopted, borrowed, image_list
from udi._call import Handle, ask, call, documented, new_out, text
from udi._config import Config, choice
from udi._configs import AttentionConfig, ExtractConfig, ModelConfig
from udi._context import Context
from udi._header import Layout, ModelInfo, Role
from udi._udi import ffi


class Model(Handle):
    """A backbone with SRS module and projection head."""

    @documented("udi_model_create")
    def __init__(self, context: Context, config: ModelConfig, seed: int = 0) -> None:
        owner = new_out("udi_model", context._lane)
        call("udi_model_create", context, config, seed, owner)
        super().__init__(owner, context._lane)

    @classmethod
    @documented("udi_model_load")
    def load(cls, context: Context, path: str | os.PathLike[str], role: Role | str = Role.TEACHER) -> Model:
        owner = new_out("udi_model", context._lane)
        call("udi_model_load", context, path, choice(Role, role), owner)
        return cls._of(owner, context._lane)

    @classmethod
    def _of(cls, owner: Any, lane: Any) -> Model:
        model = cls.__new__(cls)
        Handle.__init__(model, owner, lane)
        return model

    @documented("udi_model_share")
    def share(self, context: Context) -> Model:
        """For threads: each has a context, and all have these weights."""
        owner = new_out("udi_model", context._lane)
        call("udi_model_share", self, context, owner)
        return Model._of(owner, context._lane)

    @documented("udi_model_save")
    def save(self, path: str | os.PathLike[str]) -> None:
        call("udi_model_save", self, path)

    @property
    def config(self) -> ModelConfig:
        """A copy of the configuration."""
        config = ModelConfig("vit_small")
        call("udi_model_get_config", self, config)
        return config

    @property
    def info(self) -> ModelInfo:
        """Sizes, and the number of parameters."""
        info = ffi.new("udi_model_info *", {"struct_size": ffi.sizeof("udi_model_info")})
        call("udi_model_get_info", self, info)
        return ModelInfo._make(getattr(info, name) for name in ModelInfo._fields)

    # ---- Weights -------------------------------------------------------------------------------------------------------
    @property
    def names(self) -> list[str]:
        """The official names of all weight tensors."""
        return [text(ask("udi_model_param_name", self, i)) for i in range(ask("udi_model_param_count", self))]

    @documented("udi_model_param_get")
    def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
        """model["backbone.cls_token"]: a copy of a weight tensor."""
        owner = new_out("udi_tensor", self._lane)
        call("udi_model_param_get", self, name, owner)
        return adopted(owner)

    @documented("udi_model_param_set")
    def __setitem__(self, name: str, value: Array) -> None:
        """model["backbone.cls_token"] = array of float32."""
        call("udi_model_param_set", self, name, borrowed(value, name, self._lane))

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return int(ask("udi_model_param_count", self))

    # ---- Tokens --------------------------------------------------------------------------------------------------------
    @documented("udi_model_prepare")
    def prepare(self, images: Iterable[Image]) -> np.ndarray[Any, Any]:
        """Images as extract() takes them. An image: a path, the bytes of a JPEG or PNG, a PIL image, or pixels
        [height, width, channels] of uint8, uint16 or float32 (0..1)."""
        array, count = image_list(images, self.info.channels)
        owner = new_out("udi_tensor", self._lane)
        call("udi_model_prepare", self, array, count, owner)
        return adopted(owner)

    @documented("udi_model_extract")
    def extract(self, images: Array, layout: Layout | str = Layout.NCHW, config: ExtractConfig | None = None,
                **fields: Any) -> np.ndarray[Any, Any]:
        """Tokens of a batch, float32. fields: of ExtractConfig: extract(batch, token="both", normalize=1)."""
        return self._over(images, layout, "udi_model_extract", ExtractConfig._from(config, fields))

    @documented("udi_model_attention")
    def attention(self, images: Array, layout: Layout | str = Layout.NCHW, config: AttentionConfig | None = None,
                  **fields: Any) -> np.ndarray[Any, Any]:
        """Attention maps of a batch, float32. fields: of AttentionConfig: attention(batch, source="cls_plus")."""
        return self._over(images, layout, "udi_model_attention", AttentionConfig._from(config, fields))

    def _over(self, images: Array, layout: Layout | str, function: str, config: Config) -> np.ndarray[Any, Any]:
        owner = new_out("udi_tensor", self._lane)
        call(function, self, borrowed(images, "images", self._lane), choice(Layout, layout), config, owner)
        return adopted(owner)


def extract(images: Iterable[Image], model: Model | str | os.PathLike[str], *, batch_size: int = 32, device: str = "cpu",
            **fields: Any) -> np.ndarray[Any, Any]:
    """Tokens of images, one row an image: extract(["cat.jpg", "dog.png"], model="checkpoint.safetensors").

    images: anything that gives them one by one (a list, a generator, tqdm(paths)), each as Model.prepare takes it; they are
        read batch_size at a time, so memory does not grow with their number.
    model: a Model, or the path of one, opened on device.
    fields: of ExtractConfig: token="both", normalize=1.
    """
    if not isinstance(model, Model):
        with Context(device) as context, Model.load(context, model) as opened:
            return extract(images, opened, batch_size=batch_size, **fields)
    config = ExtractConfig(batch_size=batch_size, **fields)
    source = iter(images)
    batches = iter(lambda: list(islice(source, batch_size)), [])
    rows = [model.extract(model.prepare(batch), config=config) for batch in batches]
    if not rows:
        raise ValueError("no images were given")
    return np.concatenate(rows)

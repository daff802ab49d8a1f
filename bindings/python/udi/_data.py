"""Views of images in memory, and the loader that makes them of image sets on disk."""
from __future__ import annotations

import atexit
import os
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from udi._arrays import Array, Image, adopted, borrowed, image_list
from udi._call import Handle, ask, call, documented, new_out
from udi._configs import LoaderConfig, ViewConfig
from udi._context import Context


class Views(Handle):
    """The crops of a batch of images and their sample maps."""

    @documented("udi_views_create")
    def __init__(self, context: Context, images: Iterable[Image], config: ViewConfig | None = None, seed: int = 0,
                 epoch: int = 0, first_sample: int = 0) -> None:
        """images: as Model.prepare takes them."""
        config = config or ViewConfig()
        array, count = image_list(images, config.channels)
        owner = new_out("udi_views", context._lane)
        call("udi_views_create", context, config, array, count, seed, epoch, first_sample, owner)
        super().__init__(owner, context._lane)

    @classmethod
    @documented("udi_views_from_arrays")
    def from_arrays(cls, context: Context, config: ViewConfig, global_: Array, local: Array | None, coords: Array,
                    sample_global: Array, sample_local: Array | None) -> Views:
        given = {"global": global_, "local": local, "coords": coords, "sample_global": sample_global,
                 "sample_local": sample_local}
        arrays = [None if value is None else borrowed(value, name, context._lane) for name, value in given.items()]
        owner = new_out("udi_views", context._lane)
        call("udi_views_from_arrays", context, config, *arrays, owner)
        return cls._of(owner, context._lane)

    @classmethod
    def _of(cls, owner: Any, lane: Any) -> Views:
        views = cls.__new__(cls)
        Handle.__init__(views, owner, lane)
        return views

    def __len__(self) -> int:
        """The number of images."""
        return int(ask("udi_views_count", self))

    def global_crops(self) -> np.ndarray[Any, Any]:
        """A copy: [2, B, C, G, G]."""
        return self._copy("udi_views_crops", 1)

    def local_crops(self) -> np.ndarray[Any, Any]:
        """A copy: [L, B, C, l, l]."""
        return self._copy("udi_views_crops", 0)

    @documented("udi_views_coords")
    def coords(self) -> np.ndarray[Any, Any]:
        return self._copy("udi_views_coords")

    def _copy(self, function: str, *arguments: int) -> np.ndarray[Any, Any]:
        owner = new_out("udi_tensor", self._lane)
        call(function, self, *arguments, owner)
        return adopted(owner)


class Loader(Handle):
    """An image set on disk, turned into Views by worker threads. Iterating never ends: epochs follow each other; batches(n)
    gives n of them and has a length, for tqdm."""

    @documented("udi_loader_open")
    def __init__(self, context: Context, path: str | os.PathLike[str], views: ViewConfig | None = None,
                 config: LoaderConfig | None = None, **fields: Any) -> None:
        """fields: of LoaderConfig: Loader(context, "photos/", batch_size=64)."""
        owner = new_out("udi_loader", context._lane)
        call("udi_loader_open", context, path, views or ViewConfig(), LoaderConfig._from(config, fields), owner)
        super().__init__(owner, context._lane)
        _open_loaders.add(self)

    @property
    def images(self) -> int:
        """How many were found."""
        return int(ask("udi_loader_images", self))

    @property
    def steps_per_epoch(self) -> int:
        """Batches an epoch; what is left of one is dropped."""
        return int(ask("udi_loader_steps_per_epoch", self))

    @property
    def position(self) -> int:
        """Batches given out since the start of training; setting it goes on as if so many had been."""
        return int(ask("udi_loader_position", self))

    @position.setter
    def position(self, position: int) -> None:
        call("udi_loader_seek", self, position)

    @documented("udi_loader_next")
    def __next__(self) -> Views:
        owner = new_out("udi_views", self._lane)
        call("udi_loader_next", self, owner)
        return Views._of(owner, self._lane)

    def __iter__(self) -> Iterator[Views]:
        return self

    def batches(self, count: int) -> Batches:
        """The next count batches: for views in tqdm(loader.batches(loader.steps_per_epoch))."""
        return Batches(self, count)


class Batches:
    """So many batches of a loader."""

    def __init__(self, loader: Loader, count: int) -> None:
        self._loader = loader
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Views]:
        return (next(self._loader) for _ in range(self._count))


# The workers of a loader must not log into an interpreter that is going away.
_open_loaders: weakref.WeakSet[Loader] = weakref.WeakSet()


@atexit.register
def _close_loaders() -> None:
    for loader in list(_open_loaders):
        loader.close()

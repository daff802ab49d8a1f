"""libudi: pretrain vision transformers on your own images, without labels, and take out their tokens.

    import udi

    tokens = udi.extract(["cat.jpg", "dog.png"], model="checkpoint.safetensors")  # float32 [2, embed_dim]
    udi.run("pretrain", data="photos/", out="run/")                                # a whole job, as `udi pretrain` does it

    context = udi.Context()                                                        # or by hand
    model = udi.Model(context, udi.ModelConfig("vit_small"))
    loader = udi.Loader(context, "photos/", batch_size=64)
    trainer = udi.Trainer(model, total_steps=1000, steps_per_epoch=loader.steps_per_epoch)
    for views in loader.batches(1000):
        print(trainer.step(views).loss)
    trainer.model("teacher").save("model.safetensors")

Arrays come as numpy's, without a copy; torch tensors and all else that has __dlpack__ go in without one, on the GPU too.
Failures are udi.Error with libudi's text. Calls release the GIL. Ctrl-C ends a running call with KeyboardInterrupt, and the
context goes on to work; a program that installs its own SIGINT handler keeps it, and calls Context.cancel where it likes.
"""
from udi import _fit

_fit.check()

from udi._call import Handle, text  # noqa: E402
from udi._configs import (  # noqa: E402
    AttentionConfig, ContextConfig, ExtractConfig, GroupConfig, LoaderConfig, ModelConfig, TrainConfig, ViewConfig)
from udi._context import Context, run, schema, to_bar  # noqa: E402
from udi._data import Loader, Views  # noqa: E402
from udi._errors import (  # noqa: E402
    Cancelled, Error, FormatError, InvalidError, IoError, MemoryLimitError, NonFiniteError, NotFoundError, ShapeError,
    UnsupportedError)
from udi._group import Group  # noqa: E402
from udi._header import (  # noqa: E402
    Attention, DeviceType, Dtype, Layout, LogLevel, ModelInfo, Optimizer, Precision, Progress, Role, Status,
    StepStats, Token)
from udi._model import Model, extract  # noqa: E402
from udi._tensor import Tensor  # noqa: E402
from udi._trainer import Trainer  # noqa: E402
from udi._udi import lib as _lib  # noqa: E402

__version__ = text(_lib.udi_version_string())
__all__ = [
    "Attention", "AttentionConfig", "Cancelled", "Context", "ContextConfig", "DeviceType", "Dtype", "Error",
    "ExtractConfig", "FormatError", "Group", "GroupConfig", "Handle", "InvalidError", "IoError", "Layout", "Loader",
    "LoaderConfig", "LogLevel", "MemoryLimitError", "Model", "ModelConfig", "ModelInfo", "NonFiniteError",
    "NotFoundError", "Optimizer", "Precision", "Progress", "Role", "ShapeError", "Status", "StepStats", "Tensor", "Token",
    "TrainConfig", "Trainer", "UnsupportedError", "ViewConfig", "Views", "extract", "run", "schema", "to_bar",
]

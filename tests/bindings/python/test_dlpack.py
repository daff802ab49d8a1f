"""Memory that is shared with PyTorch and numpy, through DLPack: the same addresses, and let go of at the right time."""
import gc
import unittest
import weakref

import numpy as np
import recipe
import torch

import udi
from udi import _tensor

VERSION_1 = {"max_version": (1, 0)}


class Old:
    """A producer from before DLPack 1."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, stream=None):
        return self.array.__dlpack__()

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()

    def __array__(self, dtype=None, copy=None):
        return self.array.numpy()


class DLPack(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.context = udi.Context(num_threads=1)
        cls.model = recipe.model(cls.context)
        cls.batch = torch.from_numpy(cls.model.prepare(recipe.images()))

    def test_torch_goes_in_where_it_lies(self):
        tensor = udi.Tensor(self.context, self.batch)
        self.assertEqual(tensor.numpy().ctypes.data, self.batch.data_ptr())
        self.assertEqual(tensor.__dlpack_device__(), (1, 0))
        wanted = self.model.extract(self.batch.numpy())
        last = self.batch.permute(0, 2, 3, 1)
        for images, layout in ((tensor, "nchw"), (self.batch, "nchw"), (last, "nhwc"), (Old(self.batch), "nchw"),
                               (udi.Tensor(self.context, last), "nhwc")):
            self.assertTrue((self.model.extract(images, layout) == wanted).all())

    def test_every_dtype(self):
        for dtype in (torch.uint8, torch.uint16, torch.int32, torch.int64, torch.float16, torch.bfloat16, torch.float32,
                      torch.float64):
            value = torch.arange(6, dtype=torch.float64).to(dtype).reshape(2, 3)
            back = torch.from_dlpack(udi.Tensor(self.context, value))
            self.assertEqual((back.dtype, back.shape, back.data_ptr()), (dtype, value.shape, value.data_ptr()))
        for dtype in (torch.bool, torch.complex64, torch.int8):
            with self.assertRaisesRegex(udi.UnsupportedError, "dtype is of code"):
                udi.Tensor(self.context, torch.zeros(2, dtype=dtype))

    def test_results_come_out_and_outlive_everything(self):
        with udi.Context(num_threads=1) as context, recipe.model(context) as model:
            tokens = model.extract(self.batch)
            copy = tokens.copy()
            shared = torch.from_dlpack(udi.Tensor(context, tokens))
            self.assertEqual(shared.data_ptr(), tokens.ctypes.data)
        del tokens, context, model
        gc.collect()
        self.assertTrue((shared.numpy() == copy).all())

    def test_memory_is_let_go_when_the_last_one_does(self):
        for make in (lambda: np.arange(6.0), lambda: torch.arange(6.0)):
            value = make()
            gone = weakref.ref(value)
            held = len(_tensor._held)
            tensor = udi.Tensor(self.context, value)
            other = torch.from_dlpack(tensor)
            storage = value.data_ptr() if isinstance(value, torch.Tensor) else value.ctypes.data
            self.assertEqual(other.data_ptr(), storage)
            tensor.close()
            del value, tensor
            gc.collect()
            self.assertEqual(other.tolist(), [0, 1, 2, 3, 4, 5])
            self.assertIsNotNone(gone())
            del other
            gc.collect()
            self.assertIsNone(gone())
            self.assertEqual(len(_tensor._held), held)

    def test_a_capsule_that_nobody_takes(self):
        value = np.arange(6.0)
        gone = weakref.ref(value)
        tensor = udi.Tensor(self.context, value)
        capsules = tensor.__dlpack__(), tensor.__dlpack__(**VERSION_1)
        self.assertRegex(repr(capsules), 'capsule object "dltensor" .*capsule object "dltensor_versioned"')
        del value, tensor
        gc.collect()
        self.assertIsNotNone(gone())
        del capsules
        gc.collect()
        self.assertIsNone(gone())

    def test_consumers_of_both_times(self):
        tensor = udi.Tensor(self.context, np.arange(6.0).reshape(2, 3).T)
        for capsule in (tensor.__dlpack__(), tensor.__dlpack__(**VERSION_1)):
            self.assertEqual(torch.utils.dlpack.from_dlpack(capsule).tolist(), [[0, 3], [1, 4], [2, 5]])
        self.assertEqual(np.from_dlpack(tensor).tolist(), [[0, 3], [1, 4], [2, 5]])
        with self.assertRaises(BufferError):
            tensor.__dlpack__(copy=True)
        with self.assertRaises(BufferError):
            tensor.__dlpack__(dl_device=(2, 0))

    def test_memory_is_flat(self):
        images = self.batch
        before = len(_tensor._held)
        for _ in range(1000):
            torch.from_dlpack(udi.Tensor(self.context, images))
            udi.Tensor(self.context, np.zeros(4))
        gc.collect()
        self.assertEqual(len(_tensor._held), before)

    def test_gradients_are_torchs(self):
        with self.assertRaises((BufferError, RuntimeError)):
            self.model.extract(torch.zeros(1, 3, 32, 32, requires_grad=True))

    def test_no_stream_on_the_cpu(self):
        with self.assertRaisesRegex(udi.UnsupportedError, "on the CPU"):
            self.context.set_stream(0)


if __name__ == "__main__":
    unittest.main()

"""Who owns what: nothing is copied that need not be, nothing goes while it is seen, nothing stays."""
import gc
import pathlib
import unittest
import weakref

import numpy as np
import recipe
import udi
from udi._arrays import adopted, in_numpy
from udi._call import call, new_out
from udi._udi import ffi


def resident():
    gc.collect()
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


class Memory(unittest.TestCase):
    def test_an_array_is_borrowed_as_it_lies(self):
        array = np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1)[:, :, ::2]
        argument = in_numpy(array, "x")
        given = argument._cdata
        self.assertEqual(int(ffi.cast("uintptr_t", given.data)), array.ctypes.data)
        self.assertEqual(list(given.shape[0:3]), [4, 2, 2])
        self.assertEqual(list(given.strides[0:3]), [1, 12, 8])
        backwards = in_numpy(array[::-1], "x")
        self.assertEqual(min(backwards._cdata.strides[0:3]) >= 0, True)
        seen = ffi.unpack(ffi.cast("float *", backwards._cdata.data), 4)
        self.assertEqual(seen, list(array[::-1].ravel()[:4]))

    def test_views_keep_their_tensor(self):
        model = recipe.model(udi.Context())
        owner = new_out("udi_tensor")
        call("udi_model_param_get", model, model.names[0], owner)
        tensor = weakref.ref(owner)
        array = adopted(owner)
        view = ffi.new("udi_array *", {"struct_size": ffi.sizeof("udi_array")})
        call("udi_tensor_view", owner[0], view)
        self.assertEqual(array.ctypes.data, int(ffi.cast("uintptr_t", view.data)))
        part = array.reshape(-1)[1:]
        del owner, array
        gc.collect()
        self.assertIsNotNone(tensor(), "freed under an array")
        del part
        gc.collect()
        self.assertIsNone(tensor(), "not freed")

    def test_tokens_outlive_everything(self):
        context = udi.Context()
        model = recipe.model(context)
        tokens = model.extract(model.prepare(recipe.images()))
        expected = tokens.copy()
        model.close()
        context.close()
        del model, context
        gc.collect()
        [np.full(tokens.shape, -1, np.float32) for _ in range(100)]
        np.testing.assert_array_equal(tokens, expected)
        self.assertEqual(tokens.shape, (8, 24))
        tokens[:] = 0  # ours to write

    def test_the_log_outlives_the_context(self):
        lines = []
        context = udi.Context(log=lambda level, line: lines.append(line))
        model = recipe.model(context)
        del context
        gc.collect()
        again = udi.Trainer(model)
        del model
        gc.collect()
        again.model()

    def test_1000_rounds_leave_nothing(self):
        images = recipe.images()[:2]

        def rounds(count):
            for i in range(count):
                context = udi.Context(num_threads=1)
                model = recipe.model(context)
                views = udi.Views(context, images, recipe.crops(), seed=7)
                if i % 2:
                    for handle in (context, model, views):
                        handle.close()
            return resident()

        before = rounds(100)
        self.assertLess(rounds(1000) - before, 8 << 20)


if __name__ == "__main__":
    unittest.main()

"""What goes wrong is an exception with libudi's words, or Python's own where Python sees it first."""
import os
import tempfile
import unittest

import numpy as np
import recipe
import udi


class Errors(unittest.TestCase):
    def setUp(self):
        self.context = udi.Context()

    def fails(self, kind, words):
        return self.assertRaisesRegex(kind, words)

    def test_libudi_says_what(self):
        with self.fails(udi.NotFoundError, "no architecture is called 'vit_huge'") as raised:
            udi.ModelConfig("vit_huge")
        self.assertEqual(raised.exception.status, udi.Status.NOT_FOUND)
        self.assertEqual(raised.exception.where, "udi_model_config_init")
        self.assertIsInstance(raised.exception, LookupError)
        with self.fails(udi.InvalidError, "patch_size") as raised:
            recipe.model(self.context, patch_size=7)
        self.assertEqual((raised.exception.status, raised.exception.where), (1, "udi_model_create"))
        self.assertIsInstance(raised.exception, ValueError)

    def test_every_status_has_its_class(self):
        model = recipe.model(self.context)
        with self.fails(udi.NotFoundError, "none.safetensors: no such file"):
            udi.Model.load(self.context, "none.safetensors")
        with self.fails(udi.FormatError, "test_errors.py"):
            udi.Model.load(self.context, __file__)
        with self.fails(udi.ShapeError, "images"):
            model.extract(np.zeros((2, 5, 32, 32), np.float32))
        with self.fails(udi.NotFoundError, "no tensor 'nothing'"):
            model["nothing"]
        with self.fails(udi.FormatError, r"images\[1\]"):
            model.prepare([np.zeros((40, 40, 3), np.uint8), b"no JPEG at all"])
        with tempfile.TemporaryDirectory() as folder, self.fails(udi.IoError, "none") as raised:
            model.save(os.path.join(folder, "none", "model.safetensors"))
        self.assertEqual(raised.exception.errno, raised.exception.native_code)
        self.assertIsInstance(raised.exception, OSError)
        with self.fails(udi.Error, "GPU|CUDA|NVIDIA") as raised:
            udi.Context("cuda:1000")
        self.assertEqual(raised.exception.status, udi.Status.DEVICE)

    def test_python_sees_it_first(self):
        model = recipe.model(self.context)
        with self.fails(TypeError, "did you mean 'embed_dim'"):
            recipe.sizes(embed_din=3)
        with self.fails(AttributeError, "did you mean 'embed_dim'"):
            recipe.sizes().embeddim
        with self.fails(AttributeError, "no field 'x'"):
            recipe.sizes().x = 1
        with self.fails(ValueError, "no Token is called 'cats'; there are cls, cls_plus"):
            model.extract(np.zeros((1, 3, 32, 32), np.uint8), token="cats")
        with self.fails(TypeError, "images is an array of complex128"):
            model.extract(np.zeros((1, 3, 32, 32), complex))
        with self.fails(ValueError, r"images\[0\] has shape \[3\]"):
            model.prepare([np.zeros(3, np.uint8)])
        with self.fails(OverflowError, ""):
            recipe.sizes(depth=2**40)
        with self.fails(IndexError, ""):
            recipe.sizes(mean=[0.5] * 17)
        with self.fails(ValueError, "embedded null"):
            model["a\0b"]
        with self.fails(FileNotFoundError, "none.jpg"):
            udi.extract(["none.jpg"], model)
        with self.fails(ValueError, "no images"):
            udi.extract([], model)
        for device in ("tpu", "cuda:x"):
            with self.fails(ValueError, "called"):
                udi.Context(device)

    def test_closed(self):
        with recipe.model(self.context) as model:
            self.assertFalse(model.closed)
        model.close()
        with self.fails(ValueError, "this Model is closed"):
            model.info
        self.context.close()
        with self.fails(ValueError, "this Context is closed"):
            recipe.model(self.context)

    def test_children_outlive_their_parents(self):
        model = recipe.model(self.context)
        trainer = udi.Trainer(model)
        views = udi.Views(self.context, recipe.images(), recipe.crops())
        self.context.close()
        model.close()
        self.assertGreater(trainer.step(views).loss, 0)
        self.assertEqual(trainer.model().info.embed_dim, 24)


if __name__ == "__main__":
    unittest.main()

"""Images in, tokens out; training; image sets; jobs; the log."""
import io
import logging
import os
import pathlib
import tempfile
import threading
import unittest

import numpy as np
import recipe
import udi
from PIL import Image
from tqdm import tqdm

PICTURES = pathlib.Path(__file__).resolve().parents[2] / "data/image"


class Work(unittest.TestCase):
    def setUp(self):
        self.context = udi.Context(num_threads=2, log=lambda level, line: None)
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    # ---- Tokens --------------------------------------------------------------------------------------------------------
    def test_an_image_in_every_form(self):
        model = recipe.model(self.context)
        path = PICTURES / "png_rgb_8.png"
        pixels = np.asarray(Image.open(path))
        forms = [path, str(path), path.read_bytes(), bytearray(path.read_bytes()), memoryview(path.read_bytes()),
                 Image.open(path), Image.open(path).convert("RGBA"), pixels, np.asfortranarray(pixels)]
        batch = model.prepare(forms)
        self.assertEqual((batch.shape, batch.dtype), ((len(forms), 3, 32, 32), np.uint8))
        for other in batch[1:]:
            np.testing.assert_array_equal(other, batch[0])
        self.assertGreater(len(np.unique(batch[0])), 10)

    def test_extract(self):
        model = recipe.model(self.context)
        model.save(self.path("model.safetensors"))
        images = recipe.images()
        expected = model.extract(model.prepare(images), token=udi.Token.BOTH, normalize=1)
        np.testing.assert_allclose(np.linalg.norm(expected, axis=1), 1, rtol=1e-5)
        for opened in (model, self.path("model.safetensors"), pathlib.Path(self.path("model.safetensors"))):
            found = udi.extract((image for image in images), opened, token="both", normalize=1, batch_size=3)
            np.testing.assert_allclose(found, expected, atol=1e-5)
        batch = model.prepare(images)
        by_layout = model.extract(np.ascontiguousarray(batch.transpose(0, 2, 3, 1)), "nhwc")
        np.testing.assert_array_equal(by_layout, model.extract(batch))
        config = udi.ExtractConfig(token="patches")
        self.assertEqual(model.extract(batch, config=config, block=1).shape, (8, 16, 24))
        self.assertEqual(config.block, 0, "the caller's own configuration is not changed")
        maps = model.attention(batch, source="srs", patch_row=1)
        self.assertEqual(maps.shape, (8, 3, 4, 4))
        self.assertTrue((maps > 0).all())

    def test_weights(self):
        model = recipe.model(self.context)
        self.assertEqual(sum(model[name].size for name in model), model.info.num_parameters)
        self.assertEqual(len(model), len(set(model.names)))
        name = model.names[3]
        value = np.arange(model[name].size, dtype=np.float32).reshape(model[name].shape)
        model[name] = value
        np.testing.assert_array_equal(model[name], value)
        self.assertEqual(model.config.embed_dim, 24)
        self.assertEqual(repr(model.config), repr(recipe.sizes()))

    def test_threads_share_weights(self):
        model = recipe.model(self.context)
        batch = model.prepare(recipe.images())
        expected = model.extract(batch)
        shared = [model.share(udi.Context(num_threads=1)) for _ in range(3)]
        model.close()
        found = [None] * len(shared)

        def work(i):
            for _ in range(20):
                found[i] = shared[i].extract(batch)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(len(shared))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for tokens in found:
            np.testing.assert_allclose(tokens, expected, atol=1e-5)
        with self.assertRaisesRegex(udi.Error, "share") as raised:
            shared[0][shared[0].names[0]] = 0 * shared[0][shared[0].names[0]]
        self.assertEqual(raised.exception.status, udi.Status.STATE)

    # ---- Training ------------------------------------------------------------------------------------------------------
    def test_goes_on_to_the_bit(self):
        def new():
            loader = udi.Loader(self.context, PICTURES, recipe.crops(), batch_size=4, max_bad_percent=100)
            return loader, udi.Trainer(recipe.model(self.context), total_steps=9, lr=1e-3)

        loader, trainer = new()
        self.assertGreater(loader.images, 40)
        self.assertEqual(loader.steps_per_epoch, loader.images // 4)
        losses = []
        for views in tqdm(loader.batches(4), disable=True):
            losses.append(trainer.step(views).loss)
            if len(losses) == 2:
                trainer.save(self.path("run.safetensors"), loader)
        self.assertEqual((len(set(losses)), trainer.steps, loader.position), (4, 4, 4))
        loader, _ = new()
        trainer = udi.Trainer.load(self.context, self.path("run.safetensors"), loader)
        self.assertEqual((trainer.steps, loader.position), (2, 2))
        stats = [trainer.step(next(loader)) for _ in range(2)]
        self.assertEqual([found.loss for found in stats], losses[2:])
        self.assertEqual(stats[1].step, 3)
        self.assertEqual(len(stats[1].center_norm), 3)
        student = udi.Model.load(self.context, self.path("run.safetensors"), role="student")
        self.assertEqual(student.info, trainer.model().info)

    def test_a_group_of_one_changes_nothing(self):
        joined, other = udi.Trainer(recipe.model(self.context)), udi.Trainer(recipe.model(self.context))
        with udi.Group(self.context, rank=0, world=1) as group:
            self.assertEqual((group.rank, group.world), (0, 1))
            joined.join(group)
        views = udi.Views(self.context, recipe.images(), recipe.crops())
        self.assertEqual(joined.step(views).loss, other.step(views).loss)
        with self.assertRaisesRegex(udi.InvalidError, "rank"):
            udi.Group(self.context, rank=1, world=1)

    def test_views(self):
        views = udi.Views(self.context, recipe.images(), recipe.crops(), seed=7)
        self.assertEqual(len(views), 8)
        self.assertEqual(views.global_crops().shape, (2, 8, 3, 32, 32))
        self.assertEqual(views.local_crops().shape, (2, 8, 3, 16, 16))
        self.assertEqual(views.coords().shape, (4, 8, 4))
        masks = [np.zeros((8, 16), np.uint8), np.zeros((8, 4), np.uint8)]
        for mask in masks:
            mask[:, :4] = 1
        again = udi.Views.from_arrays(self.context, recipe.crops(), views.global_crops(), views.local_crops(),
                                      views.coords(), *masks)
        np.testing.assert_array_equal(again.local_crops(), views.local_crops())
        trainer = udi.Trainer(recipe.model(self.context))
        self.assertGreater(trainer.step(views, again).loss, 0)
        gray = udi.Views(self.context, [Image.fromarray(image) for image in recipe.images()],
                         udi.ViewConfig(global_size=32, local_size=16, patch_size=8, channels=1))
        self.assertEqual(gray.global_crops().shape, (2, 8, 1, 32, 32))
        half = udi.Views(self.context, recipe.images()[4:], recipe.crops(), seed=7, first_sample=4)
        np.testing.assert_array_equal(half.coords(), views.coords()[:, 4:])

    def test_configurations(self):
        config = udi.LoaderConfig(cache_dir=pathlib.Path(self.folder.name), batch_size=np.int64(3))
        self.assertEqual((config.cache_dir, config.batch_size), (self.folder.name, 3))
        self.assertEqual(udi.TrainConfig(precision="bf16").precision, udi.Dtype.BF16)
        self.assertEqual(udi.TrainConfig(optimizer=2).optimizer, udi.Optimizer.SGD)
        self.assertEqual(len(recipe.sizes(mean=[0.25, 0.5]).mean), 16)
        self.assertEqual(recipe.sizes(mean=[0.25, 0.5]).mean[:2], (0.25, 0.5))
        self.assertIn("embed_dim", dir(recipe.sizes()))

    # ---- Jobs ----------------------------------------------------------------------------------------------------------
    def test_jobs(self):
        seen = []
        drawn = self.context.run("demo-data", seen.append, out=pathlib.Path(self.path("drawn")), train=20, test=20)
        self.assertIsInstance(drawn, dict)
        self.assertEqual((seen[-1].done, seen[-1].total > 0, type(seen[-1].stage)), (seen[-1].total, True, str))
        stream = io.StringIO()
        with tqdm(file=stream, mininterval=0) as bar:
            udi.run("demo-data", udi.to_bar(bar), out=self.path("again"), train=20, test=20)
            self.assertEqual((bar.n, bar.total), (seen[-1].done, seen[-1].total))
        self.assertIn(seen[-1].stage, stream.getvalue())
        with self.assertRaisesRegex(udi.InvalidError, "no_such"):
            udi.run("demo-data", out=self.path("x"), no_such=1)
        self.assertIn("pretrain", [job["name"] for job in udi.schema()["jobs"]])

        def too_much(progress):
            raise RuntimeError("enough")

        with self.assertRaisesRegex(RuntimeError, "enough"):
            self.context.run("demo-data", too_much, out=self.path("third"), train=20, test=20)
        recipe.model(self.context)

    # ---- The log -------------------------------------------------------------------------------------------------------
    def meet_a_bad_image(self, context):
        pathlib.Path(self.path("bad.jpg")).write_bytes(b"no JPEG")
        pathlib.Path(self.path("good.png")).write_bytes((PICTURES / "png_rgb_8.png").read_bytes())
        loader = udi.Loader(context, self.folder.name, recipe.crops(), batch_size=2, max_bad_percent=100)
        self.assertEqual(len(next(loader)), 2)

    def test_log(self):
        lines = []
        with udi.Context(log=lambda level, line: lines.append((level, line))) as context:
            self.meet_a_bad_image(context)
        self.assertEqual([level for level, line in lines if "bad.jpg" in line][:1], [udi.LogLevel.WARN], lines)

    def test_log_by_default_is_logging(self):
        with self.assertLogs("udi", logging.WARNING) as logged:
            self.meet_a_bad_image(udi.Context())
        self.assertIn("bad.jpg", "".join(logged.output))

    def test_docs_come_from_the_header(self):
        self.assertIn("Reads a checkpoint or weights", udi.Model.load.__doc__)
        self.assertIn("udi_trainer_step of udi.h: One optimisation step", udi.Trainer.step.__doc__)
        self.assertIn("patch_size: pixels a side", udi.ModelConfig.__doc__)


if __name__ == "__main__":
    unittest.main()

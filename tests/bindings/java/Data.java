package org.libudi;

import java.lang.ref.WeakReference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Images, arrays and weights in, tokens out; who owns what. */
final class Data {
    /** [1, 2, 24] */
    static final String CLS = "backbone.backbone.cls_token";

    private Data() {}

    static ByteBuffer direct(int bytes) {
        return ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder());
    }

    static void images(Model model, Path pictures) throws Exception {
        byte[] file = Files.readAllBytes(pictures.resolve("png_rgb_8.png"));
        byte[] pixels = Recipe.pixels(3);
        int side = Recipe.SIDE;
        ByteBuffer shifted = ByteBuffer.allocate(file.length + 9).position(5).put(file).flip().position(5);
        List<Image> files = List.of(Image.encoded(file), Image.encoded(direct(file.length).put(file).flip()),
                Image.encoded(shifted));
        List<Image> drawn = List.of(Image.pixels(pixels, side, side, 3),
                Image.pixels(direct(pixels.length).put(pixels).flip(), Dtype.U8, side, side, 3));
        Expect.that(shifted.position() == 5 && shifted.remaining() == file.length, "a buffer is left as it was");
        for (List<Image> same : List.of(files, drawn)) {
            try (Tensor batch = model.prepare(same)) {
                Expect.that(batch.dtype() == Dtype.U8 && Arrays.equals(batch.shape(), new long[] {same.size(), 3, 32, 32}),
                        "pixels of 8 bits");
                byte[] bytes = batch.toByteArray();
                int one = bytes.length / same.size();
                byte[] first = Arrays.copyOf(bytes, one);
                for (int i = 1; i < same.size(); ++i) {
                    Expect.that(Arrays.equals(first, Arrays.copyOfRange(bytes, i * one, (i + 1) * one)), "the same image");
                }
                Expect.that(Arrays.hashCode(first) != Arrays.hashCode(new byte[one]), "not nothing");
            }
        }
        short[] deep = new short[pixels.length];
        float[] real = new float[pixels.length];
        for (int i = 0; i < pixels.length; ++i) {
            deep[i] = (short) ((pixels[i] & 0xff) * 257);
            real[i] = (pixels[i] & 0xff) / 255f;
        }
        List<Image> others = List.of(Image.pixels(deep, side, side, 3), Image.pixels(real, side, side, 3));
        try (Tensor batch = model.prepare(others)) {
            float[] values = batch.toFloatArray();
            float most = 0;
            for (int i = 0; i < values.length / 2; ++i) {
                Expect.that(Math.abs(values[i] - values[i + values.length / 2]) < 1e-4, "16 bits are as floats");
                most = Math.max(most, values[i]);
            }
            Expect.that(most > 1, "normalised");
        }
    }

    static void tokens(Model model) {
        List<Image> images = Recipe.images(4);
        ExtractConfig both = new ExtractConfig().token(Token.BOTH).normalize(1);
        try (Tensor batch = model.prepare(images); Tensor tokens = model.extract(batch.array(), Layout.NCHW, both)) {
            Expect.that(Arrays.equals(tokens.shape(), new long[] {4, 48}), "[B, 2 D]");
            float[] expected = tokens.toFloatArray();
            double squares = 0;
            for (int i = 0; i < 48; ++i) {
                squares += expected[i] * expected[i];
            }
            Expect.that(Math.abs(squares - 1) < 1e-5, "normalised");
            Array turned = Array.of(batch.byteBuffer(), Dtype.U8, new long[] {4, 32, 32, 3}, new long[] {3072, 32, 1, 1024});
            Array copied = Array.of(batch.toByteArray(), batch.shape());
            same(expected, model.extract(turned, Layout.NHWC, both), "strides");
            same(expected, model.extract(copied, Layout.NCHW, both), "a copy");
            same(expected, model.extract(images, both), "images at once");
            AttentionConfig patch = new AttentionConfig().source(Attention.SRS).patchRow(1).patchCol(3);
            try (Tensor maps = model.attention(batch.array(), Layout.NCHW, patch)) {
                Expect.that(Arrays.equals(maps.shape(), new long[] {4, 3, 4, 4}), "[B, heads, h, w]");
                float sum = 0;
                for (float weight : Arrays.copyOf(maps.toFloatArray(), 16)) {
                    sum += weight;
                }
                Expect.that(sum > 0 && sum < 1.0001, "a softmax");
            }
        }
    }

    private static void same(float[] expected, Tensor tokens, String what) {
        try (tokens) {
            Expect.that(Arrays.equals(expected, tokens.toFloatArray()), what + ": the same tokens");
        }
    }

    static void weights(Context context, Model model, Path folder) {
        long sum = 0;
        for (String name : model.names()) {
            try (Tensor weight = model.get(name)) {
                sum += Arrays.stream(weight.shape()).reduce(1, Math::multiplyExact);
            }
        }
        ModelInfo info = model.info();
        Expect.that(sum == info.numParameters() && info.embedDim() == 24 && info.depth() == 2, "all weights");
        ModelConfig config = model.config();
        Expect.that(config.outDim() == 64 && config.headBottleneckDim() == 16 && config.patchSize() == 8, "its sizes");
        float[] values = new float[48];
        for (int i = 0; i < values.length; ++i) {
            values[i] = i * 0.125f;
        }
        FloatBuffer direct = direct(192).asFloatBuffer().put(values).flip();
        FloatBuffer foreign = ByteBuffer.allocateDirect(192).order(ByteOrder.BIG_ENDIAN).asFloatBuffer().put(values).flip();
        for (Array array : List.of(Array.of(values, 1, 2, 24), Array.of(direct, 1, 2, 24), Array.of(foreign, 1, 2, 24),
                Array.of(FloatBuffer.wrap(values), 1, 2, 24))) {
            model.set(CLS, Array.of(new float[48], 1, 2, 24));
            model.set(CLS, array);
            try (Tensor weight = model.get(CLS)) {
                Expect.that(Arrays.equals(weight.toFloatArray(), values), "what was set");
            }
        }
        Expect.fails(Status.SHAPE, CLS, () -> model.set(CLS, Array.of(new float[48], 48)));
        Path file = folder.resolve("modèle.safetensors");
        model.save(file);
        try (Model loaded = Model.load(context, file, Role.TEACHER); Tensor weight = loaded.get(CLS)) {
            Expect.that(Arrays.equals(weight.toFloatArray(), values), "what was saved");
        }
    }

    static void arrays() {
        Expect.fails(IllegalArgumentException.class, "shape [2, 2] needs 4 elements, there are 3",
                () -> Array.of(new float[3], 2, 2));
        Expect.fails(IllegalArgumentException.class, "every size must be at least 1", () -> Array.of(new float[3], 3, 0));
        Expect.fails(IllegalArgumentException.class, "there are 3",
                () -> Array.of(new byte[3], Long.MAX_VALUE, Long.MAX_VALUE));
        Expect.fails(IllegalArgumentException.class, "there are 1", () -> Array.of(direct(7), Dtype.F32, 2));
        Expect.fails(IllegalArgumentException.class, "there are 1", () -> Array.of(direct(16).position(12), Dtype.F32, 2));
        Expect.fails(IllegalArgumentException.class, "needs 6 elements, there are 4",
                () -> Array.of(direct(4), Dtype.U8, new long[] {2, 3}, new long[] {3, 1}));
        for (long[] strides : new long[][] {{1}, {-1, 1}}) {
            Expect.fails(IllegalArgumentException.class, "a stride of at least 0 is needed for each size",
                    () -> Array.of(direct(4), Dtype.U8, new long[] {2, 2}, strides));
        }
    }

    static void tensors(Model model) {
        Tensor tensor = model.get(CLS);
        FloatBuffer values = tensor.floatBuffer();
        tensor.floatBuffer().put(3, 42);
        float[] copy = tensor.toFloatArray();
        Expect.that(values.get(3) == 42 && copy[3] == 42 && values.remaining() == 48, "buffers are the tensor's memory");
        values.put(3, 43);
        Expect.that(copy[3] == 42, "an array is a copy");
        Expect.fails(IllegalStateException.class, "of F32, not of U8", tensor::toByteArray);
        tensor.close();
        Expect.fails(IllegalStateException.class, "this Tensor is closed", tensor::floatBuffer);
        Expect.collected();
        for (int i = 0; i < 100; ++i) { // what would take its memory if it were free
            try (Tensor other = model.get(CLS)) {
                other.floatBuffer().put(3, -1);
            }
        }
        Expect.that(values.get(3) == 43, "a buffer keeps the memory");
        Expect.fails(IllegalArgumentException.class, "no Dtype has the number 77", () -> Dtype.of(77));
    }

    static void views(Context context) {
        try (Views views = Recipe.views(context, Recipe.images(3), 1);
                Tensor global = views.globalCrops();
                Tensor local = views.localCrops();
                Tensor coords = views.coords()) {
            Expect.that(Arrays.equals(global.shape(), new long[] {2, 3, 3, 32, 32})
                    && Arrays.equals(local.shape(), new long[] {2, 3, 3, 16, 16})
                    && Arrays.equals(coords.shape(), new long[] {4, 3, 4}), "shapes of views");
            byte[] some = new byte[3 * 16];
            for (int i = 0; i < some.length; i += 4) {
                some[i] = 1;
            }
            byte[] all = new byte[3 * 4];
            Arrays.fill(all, (byte) 1);
            try (Views own = Views.fromArrays(context, Recipe.crops(), global.array(), local.array(), coords.array(),
                            Array.of(some, 3, 16), Array.of(all, 3, 4));
                    Tensor again = own.globalCrops();
                    Tensor places = own.coords()) {
                Expect.that(own.count() == 3 && Arrays.equals(again.toByteArray(), global.toByteArray())
                        && Arrays.equals(places.toFloatArray(), coords.toFloatArray()), "one's own views");
            }
        }
    }

    private static Loader pictures(Context context, Path pictures) {
        return new Loader(context, pictures, Recipe.crops(), new LoaderConfig().batchSize(4).maxBadPercent(100));
    }

    /** Training that is saved and loaded goes on to the bit. */
    /** A group of one rank meets nobody and changes no step. */
    static void group(Context context) {
        GroupConfig alone = new GroupConfig().rank(0).world(1);
        try (Model start = Recipe.model(context); Trainer joined = new Trainer(start, new TrainConfig());
                Trainer other = new Trainer(start, new TrainConfig());
                Views views = new Views(context, Recipe.crops(), Recipe.images(8), 0, 0, 0)) {
            try (Group group = new Group(context, alone)) {
                Expect.that(group.rank() == 0 && group.world() == 1, "the only rank");
                joined.join(group);
            }
            Expect.that(joined.step(views).loss() == other.step(views).loss(), "a group of one changes nothing");
            Expect.fails(Status.INVALID, "rank", () -> new Group(context, alone.rank(1)));
        }
    }

    static void training(Context context, Path folder, Path pictures) {
        Path file = folder.resolve("run.safetensors");
        List<Double> losses = new ArrayList<>();
        try (Model start = Recipe.model(context);
                Trainer trainer = new Trainer(start, new TrainConfig().totalSteps(9).lr(1e-3));
                Loader loader = pictures(context, pictures)) {
            Expect.that(loader.images() > 40 && loader.stepsPerEpoch() == loader.images() / 4, "pictures");
            for (int step = 0; step < 4; ++step) {
                try (Views views = loader.next()) {
                    StepStats stats = trainer.step(views);
                    Expect.that(stats.step() == step && stats.centerNorm().length == 3 && stats.weightDecay() > 0, "stats");
                    losses.add(stats.loss());
                }
                if (step == 1) {
                    trainer.save(file, loader);
                }
            }
            Expect.that(trainer.steps() == 4 && loader.position() == 4, "positions");
            loader.seek(1);
            Expect.that(loader.position() == 1, "seek");
        }
        try (Loader loader = pictures(context, pictures); Trainer trainer = Trainer.load(context, file, loader)) {
            Expect.that(trainer.steps() == 2 && loader.position() == 2, "saved positions");
            for (int step = 2; step < 4; ++step) {
                try (Views views = loader.next()) {
                    Expect.that(trainer.step(views).loss() == losses.get(step), "the same step again");
                }
            }
            try (Views one = loader.next(); Views two = loader.next()) {
                Expect.that(trainer.step(one, two).step() == 4, "several views a step");
            }
        }
    }

    /** Memory goes to another library and back; it is let go of when nobody has it any more, and not before. */
    static void exchange(Context context) {
        ByteBuffer memory = direct(24);
        WeakReference<ByteBuffer> seen = new WeakReference<>(memory);
        Tensor wrapped = Tensor.wrap(context, Array.of(memory, Dtype.F32, 2, 3));
        long managed = wrapped.toDlpack();
        wrapped.close();
        Tensor back = Tensor.fromDlpack(context, managed);
        memory.putFloat(20, 7);
        memory = null;
        Expect.collected();
        Expect.that(seen.get() != null, "still read");
        Expect.that(Arrays.equals(back.shape(), new long[] {2, 3}) && back.toFloatArray()[5] == 7, "the same memory");
        back.close();
        Expect.collected();
        Expect.that(seen.get() == null, "let go of");

        Tensor transposed = Tensor.wrap(context, Array.of(direct(24), Dtype.F32, new long[] {3, 2}, new long[] {1, 3}));
        Expect.fails(IllegalStateException.class, "not contiguous: shape [3, 2], strides [1, 3]", transposed::toFloatArray);
        Tensor first = Tensor.wrap(context, Array.of(new float[] {1, 2}, 2));
        try (Tensor second = Tensor.wrap(context, first.array())) {
            first.close();
            Expect.collected();
            Expect.that(second.toFloatArray()[1] == 2, "a tensor's memory stays, too");
        }
        Expect.fails(Status.INVALID, "managed is NULL", () -> Tensor.fromDlpack(context, 0));
        Array nine = Array.of(direct(1), Dtype.U8, 1, 1, 1, 1, 1, 1, 1, 1, 1);
        Expect.fails(Status.INVALID, "array.ndim is 9", () -> Tensor.wrap(context, nine));
    }

    static void check(Path folder, Path pictures) throws Exception {
        arrays();
        try (Context context = Recipe.context(); Model model = Recipe.model(context)) {
            images(model, pictures);
            tokens(model);
            weights(context, model, folder);
            tensors(model);
            views(context);
            training(context, folder, pictures);
            group(context);
            exchange(context);
        }
    }
}

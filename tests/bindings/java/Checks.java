package org.libudi;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Errors, fit and leaks as in bindings/README.md; then what is Java's own. Arguments: a folder to write to, pictures. */
final class Checks {
    private Checks() {}

    static void errors(Context context, Path folder) {
        UdiException failure = Expect.fails(Status.NOT_FOUND, "UDI_E_NOT_FOUND: no architecture is called 'vit_huge'",
                () -> new ModelConfig("vit_huge"));
        Expect.that(failure.code().value() == 3 && failure.nativeCode() == 0, "3, and no errno");
        Expect.fails(Status.INVALID, "patch_size", () -> new Model(context, Recipe.sizes().patchSize(7), 1));
        try (Model model = Recipe.model(context); Trainer trainer = new Trainer(model, new TrainConfig())) {
            failure = Expect.fails(Status.IO, "none", () -> model.save(folder.resolve("none/model.safetensors")));
            Expect.that(failure.nativeCode() == 2, "errno is ENOENT");
            Expect.fails(Status.NOT_FOUND, "no such file", () -> Model.load(context, folder.resolve("none"), Role.TEACHER));
            Expect.fails(Status.NOT_FOUND, "no tensor 'nothing'", () -> model.get("nothing"));
            Expect.fails(Status.INVALID, "count", () -> model.prepare(List.of()));
            Expect.fails(Status.INVALID, "count", trainer::step);
            Expect.fails(Status.INVALID, "images is NULL", () -> model.extract((Array) null, Layout.NCHW, null));
            Expect.fails(Status.SHAPE, "images", () -> model.extract(Array.of(new byte[5], 1, 5, 1, 1), Layout.NCHW, null));
            Expect.fails(Status.FORMAT, "images[1]", () -> model.prepare(
                    List.of(Recipe.images(1).get(0), Image.encoded(new byte[] {1, 2, 3}))));
            Image cut = Image.pixels(new byte[11], 2, 2, 3);
            Expect.fails(Status.SHAPE, "size is 11 bytes, must be 12", () -> model.prepare(List.of(cut)));
            Expect.fails(Status.UNSUPPORTED, "no streams", () -> context.setStream(0));
            Expect.fails(IllegalArgumentException.class, "name has a zero character at 1", () -> model.get("a\0b"));
        }
        Expect.fails(IllegalArgumentException.class, "mean gets 17 values, holds 16",
                () -> Recipe.sizes().mean(new float[17]));
    }

    static void configurations() {
        ModelConfig sizes = Recipe.sizes().mean(0.25f).exifTurn(1);
        Expect.that(sizes.mean()[0] == 0.25f && Math.abs(sizes.mean()[1] - 0.456f) < 1e-6, "one mean, the others stay");
        sizes.mean()[0] = 9;
        Expect.that(sizes.mean()[0] == 0.25f && sizes.exifTurn() == 1 && sizes.embedDim() == 24, "a getter gives a copy");
        LoaderConfig loader = new LoaderConfig();
        Expect.that(loader.batchSize() == 128 && loader.cacheDir() == null, "libudi's defaults");
        Expect.that(loader.cacheDir("/tmp/ä").cacheDir().equals("/tmp/ä"), "text comes back");
        TrainConfig train = new TrainConfig();
        Expect.that(train.precision() == Dtype.F32, "an enum");
        Expect.that(train.optimizer(Optimizer.LARS).optimizer() == Optimizer.LARS, "another one");
        Expect.fails(IllegalArgumentException.class, "no Token has the number 9", () -> Token.of(9));
    }

    static void closed() {
        Context context = Recipe.context();
        Model model = Recipe.model(context);
        Trainer trainer = new Trainer(model, new TrainConfig());
        Views views = Recipe.views(context, Recipe.images(2), 0);
        Tensor batch = model.prepare(Recipe.images(1));
        Array array = batch.array();
        batch.close();
        Expect.fails(IllegalStateException.class, "this Tensor is closed", () -> model.extract(array, Layout.NCHW, null));
        context.close();
        model.close();
        model.close();
        Expect.fails(IllegalStateException.class, "this Model is closed", model::info);
        Expect.fails(IllegalStateException.class, "this Context is closed", () -> Recipe.model(context));
        Expect.fails(IllegalStateException.class, "this Context is closed", context::cancel);
        Expect.that(trainer.step(views).loss() > 0, "children outlive their parents");
        try (Model student = trainer.model(Role.STUDENT)) {
            Expect.that(student.info().embedDim() == 24, "grandchildren, too");
        }
        trainer.close();
        views.close();
    }

    static boolean fits(char digit, int version, int abi) {
        Interface ours = new Interface(0, 2000, "a".repeat(64));
        try {
            ours.require(new Interface(abi, version, String.valueOf(digit).repeat(64)));
            return true;
        } catch (UnsatisfiedLinkError misfit) {
            String words = "does not fit this binding, made for 0.2.0 (ABI 0, interface aaaaaaaaaaaa): install";
            Expect.that(misfit.getMessage().contains(words), misfit.getMessage());
            return false;
        }
    }

    static void fit() {
        Expect.that(fits('a', 2000, 0) && fits('b', 2001, 0), "the same and a newer one fit");
        Expect.that(!fits('b', 2000, 0) && !fits('b', 1999, 0) && !fits('b', 2001, 1), "others do not");
        Expect.that(Udi.fingerprint().equals(Native.API_FINGERPRINT) && Udi.abi() == Native.API_ABI, "this library fits");
        Expect.that(Udi.versionNumber() == Native.API_VERSION, "its version");
        Expect.that(Udi.buildInfo().contains('"' + Udi.version() + '"'), Udi.buildInfo());
        Expect.that(Udi.jobSchema().contains("pretrain"), Udi.jobSchema());
    }

    static long resident(int rounds) throws Exception { // KiB
        List<Image> images = List.of(Image.pixels(ByteBuffer.allocateDirect(6912).put(Recipe.pixels(0)).flip(), Dtype.U8,
                Recipe.SIDE, Recipe.SIDE, 3), Recipe.images(2).get(1));
        for (int i = 0; i < rounds; ++i) {
            Context context = Recipe.context();
            Model model = Recipe.model(context);
            Views views = Recipe.views(context, images, 0);
            Expect.that(views.count() == 2, "two images");
            if (i % 2 == 0) {
                context.close();
                model.close();
                views.close();
            }
            if (i % 10 == 9) { // Java does not know how much memory hangs on a handle
                Expect.collected();
            }
        }
        Matcher found = Pattern.compile("VmRSS:\\s*(\\d+)").matcher(Files.readString(Path.of("/proc/self/status")));
        Expect.that(found.find(), "VmRSS");
        return Long.parseLong(found.group(1));
    }

    public static void main(String[] arguments) throws Exception {
        Path folder = Path.of(arguments[0]);
        Path pictures = Path.of(arguments[1]);
        try (Context context = Recipe.context()) {
            errors(context, folder);
        }
        configurations();
        closed();
        fit();
        Data.check(folder, pictures);
        Work.check(folder, pictures);
        long before = resident(100);
        long grown = resident(1000) - before;
        Expect.that(grown < 8 * 1024, "1,000 rounds grew memory by " + grown + " KiB, less than 8192");
        System.out.println("errors, fit, data and work as promised; 1,000 rounds grew memory by " + grown + " KiB");
    }
}

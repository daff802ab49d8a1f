package org.libudi;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;

/** Log, progress, cancel, threads. */
final class Work {
    /** Hours of work: a hundred million times the same picture. */
    private static final Array ENDLESS = Array.of(Data.direct(3 * 32 * 32), Dtype.U8, new long[] {100_000_000, 3, 32, 32},
            new long[] {0, 1024, 32, 1});

    private Work() {}

    static String options(Path folder) {
        return "{\"out\": \"" + folder.resolve("drawn") + "\", \"train\": 20, \"test\": 20}";
    }

    static void jobs(Path folder) {
        try (Context context = Recipe.context()) {
            List<Progress> seen = new ArrayList<>();
            String result = context.run("demo-data", options(folder), seen::add);
            Expect.that(result.startsWith("{") && result.contains("drawn"), result);
            Progress last = seen.get(seen.size() - 1);
            Expect.that(last.stage().equals("draw") && last.total() == 20 && Double.isNaN(last.loss()), last.toString());
            Expect.that(context.run("demo-data", options(folder), null).equals(result), "without a listener");
            Expect.fails(Status.INVALID, "trian", () -> context.run("demo-data", "{\"trian\": 1}", null));
            Expect.fails(Status.INVALID, "no job 'no-job'", () -> context.run("no-job", "{}", null));

            for (Throwable thrown : List.of(new IOException("enough"), new StackOverflowError("enough"))) {
                List<Progress> calls = new ArrayList<>();
                Throwable caught = Expect.fails(Throwable.class, "enough", () -> context.run("demo-data", options(folder),
                        now -> {
                            calls.add(now);
                            Call.rethrow(thrown);
                        }));
                Expect.that(caught == thrown && calls.size() == 1, "what a listener throws comes out, and ends the job");
            }
        }
    }

    static void cancelInJob(Path folder) {
        try (Context context = Recipe.context()) {
            Expect.fails(Status.CANCELLED, "", () -> context.run("demo-data", options(folder), now -> context.cancel()));
            Expect.fails(Status.CANCELLED, "", () -> Recipe.model(context));
            context.clearCancel();
            Recipe.model(context).close();

            ProgressListener interrupts = now -> Thread.currentThread().interrupt();
            Expect.fails(Status.CANCELLED, "was interrupted", () -> context.run("demo-data", options(folder), interrupts));
            Expect.that(Thread.interrupted(), "the thread stays interrupted");
            context.run("demo-data", options(folder), null);
        }
    }

    static void log(Path pictures) {
        List<String> lines = Collections.synchronizedList(new ArrayList<>());
        ContextConfig config = new ContextConfig().numThreads(1).logLevel(LogLevel.WARN);
        LoaderConfig four = new LoaderConfig().batchSize(4).maxBadPercent(100).workers(2);
        try (Context context = new Context(config, (level, line) -> lines.add(level + " " + line));
                Loader loader = new Loader(context, pictures, Recipe.crops(), four)) {
            for (long i = loader.stepsPerEpoch(); i > 0; --i) {
                loader.next().close();
            }
            boolean warned = lines.stream().anyMatch(line -> line.startsWith("WARN unreadable image bad/empty.jpg: "));
            Expect.that(warned, "the log has the name of what cannot be read");
        }
        Expect.that(config.logLevel() == LogLevel.WARN, "the caller's configuration is as it was");

        IllegalStateException thrown = new IllegalStateException("enough");
        Log throwing = (level, line) -> {
            throw thrown;
        };
        try (Context context = new Context(config, throwing)) {
            for (int again = 0; again < 2; ++again) { // the context can be used after it
                Throwable caught = Expect.fails(IllegalStateException.class, "enough", () -> {
                    try (Loader loader = new Loader(context, pictures, Recipe.crops(), four)) {
                        while (true) {
                            loader.next().close();
                        }
                    }
                });
                Expect.that(caught == thrown, "what a log throws comes out of the call");
            }
        }
    }

    /** In another thread, whose calls are in the context nearly always; tried again when this one was inside. */
    private static Future<Status> extractEndlessly(ExecutorService threads, Model model) {
        Callable<Status> work = () -> {
            while (true) {
                try {
                    model.extract(ENDLESS, Layout.NCHW, null).close();
                    return Status.OK;
                } catch (UdiException failure) {
                    if (failure.code() != Status.STATE) {
                        return failure.code();
                    }
                }
            }
        };
        return threads.submit(work);
    }

    private static void awaitBusy(Model model) {
        while (true) {
            try {
                model.info();
            } catch (UdiException failure) {
                Expect.that(failure.code() == Status.STATE, failure.toString());
                return;
            }
        }
    }

    static void cancelFromAnotherThread(ExecutorService threads) throws Exception {
        try (Context context = Recipe.context(); Model model = Recipe.model(context)) {
            Future<Status> ended = extractEndlessly(threads, model);
            awaitBusy(model);
            Expect.that(!ended.isDone(), "hours of work");
            context.cancel();
            Expect.that(ended.get() == Status.CANCELLED, "cancelled");
            context.clearCancel();
            Expect.that(model.info().embedDim() == 24, "it can be used again");
        }
    }

    static void closeDuringACall(ExecutorService threads) throws Exception {
        Context context = Recipe.context();
        Model model = Recipe.model(context);
        Future<Status> ended = extractEndlessly(threads, model);
        awaitBusy(model);
        model.close();
        context.close();
        Expect.that(!ended.isDone(), "the call goes on");
        model.lane().cancel();
        Expect.that(ended.get() == Status.CANCELLED, "to its end");
    }

    /** Two contexts in two threads, each with a training of its own and with weights that they share. */
    static void parallel(ExecutorService threads) throws Exception {
        List<Image> images = Recipe.images(8);
        try (Context context = Recipe.context(); Model model = Recipe.model(context);
                Tensor tokens = model.extract(images, null)) {
            float[] expected = tokens.toFloatArray();
            double loss = train(images);
            List<Future<Boolean>> both = new ArrayList<>();
            for (int i = 0; i < 2; ++i) {
                both.add(threads.submit(() -> {
                    boolean same = true;
                    try (Context own = Recipe.context(); Model shared = model.share(own)) {
                        for (int round = 0; round < 20; ++round) {
                            try (Tensor found = shared.extract(images, null)) {
                                same &= Arrays.equals(found.toFloatArray(), expected);
                            }
                            same &= train(images) == loss;
                        }
                        Expect.fails(Status.STATE, "share",
                                () -> shared.set(Data.CLS, Array.of(new float[48], 1, 2, 24)));
                    }
                    return same;
                }));
            }
            for (Future<Boolean> one : both) {
                Expect.that(one.get(), "the same to the bit in every thread");
            }
        }
    }

    private static double train(List<Image> images) {
        try (Context context = Recipe.context(); Model start = Recipe.model(context);
                Trainer trainer = new Trainer(start, new TrainConfig()); Views views = Recipe.views(context, images, 0)) {
            trainer.step(views);
            return trainer.step(views).loss();
        }
    }

    /** The garbage collector takes nothing that a call or a buffer needs. */
    static void forgotten(ExecutorService threads) throws Exception {
        List<Image> images = Recipe.images(2);
        float expected = Recipe.model(Recipe.context()).extract(images, null).floatBuffer().get(5);
        AtomicBoolean done = new AtomicBoolean();
        Future<?> collector = threads.submit(() -> {
            while (!done.get()) {
                System.gc();
                Thread.yield();
            }
        });
        try {
            for (int i = 0; i < 50; ++i) {
                float found = Recipe.model(Recipe.context()).extract(Recipe.images(2), null).floatBuffer().get(5);
                Expect.that(found == expected, "tokens of handles that nobody holds");
            }
        } finally {
            done.set(true);
            collector.get();
        }
    }

    static void check(Path folder, Path pictures) throws Exception {
        jobs(folder);
        cancelInJob(folder);
        log(pictures);
        ExecutorService threads = Executors.newFixedThreadPool(2);
        try {
            cancelFromAnotherThread(threads);
            closeDuringACall(threads);
            parallel(threads);
            forgotten(threads);
        } finally {
            threads.shutdownNow();
        }
    }
}

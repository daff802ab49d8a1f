package org.libudi;

import java.nio.ByteBuffer;
import java.util.List;

/** The program of bindings/README.md in Java: prints what tests/bindings/semantics.c prints. */
final class Semantics {
    private Semantics() {}

    static long fnv1a(ByteBuffer bytes) {
        long hash = 0xcbf29ce484222325L; // 14695981039346656037
        while (bytes.hasRemaining()) {
            hash = (hash ^ (bytes.get() & 0xff)) * 1099511628211L;
        }
        return hash;
    }

    public static void main(String[] arguments) {
        System.out.println("api " + Udi.fingerprint());
        List<Image> images = Recipe.images(8);
        try (Context context = Recipe.context();
                Model start = Recipe.model(context);
                Trainer trainer = new Trainer(start, new TrainConfig().totalSteps(3).warmupSteps(0).seed(3))) {
            for (int step = 0; step < 3; ++step) {
                try (Views views = Recipe.views(context, images, step)) {
                    double loss = trainer.step(views).loss();
                    System.out.printf("step %d loss %016x%n", step, Double.doubleToRawLongBits(loss));
                }
            }
            try (Model model = trainer.model(Role.TEACHER);
                    Tensor tokens = model.extract(images, new ExtractConfig().token(Token.BOTH))) {
                long[] shape = tokens.shape();
                System.out.printf("tokens %d %d %016x%n", shape[0], shape[1], fnv1a(tokens.byteBuffer()));
            }
        }
    }
}

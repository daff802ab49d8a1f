package org.libudi;

import java.util.List;
import java.util.stream.IntStream;

/** What bindings/README.md prescribes, in Java: images, model and views of the tests. */
final class Recipe {
    static final int SIDE = 48;

    private Recipe() {}

    static byte[] pixels(int n) {
        byte[] pixels = new byte[SIDE * SIDE * 3];
        for (int i = 0; i < pixels.length; ++i) {
            int c = i % 3;
            int x = i / 3 % SIDE;
            int y = i / 3 / SIDE;
            pixels[i] = (byte) ((29 * n + 3 * x * (n % 5 + 1) + 5 * y * (n % 3 + 1) + 71 * c + x * y / 8) % 256);
        }
        return pixels;
    }

    static List<Image> images(int count) {
        return IntStream.range(0, count).mapToObj(n -> Image.pixels(pixels(n), SIDE, SIDE, 3)).toList();
    }

    static Context context() {
        return new Context(new ContextConfig().numThreads(1), null);
    }

    static ModelConfig sizes() {
        return new ModelConfig("vit_tiny").imageSize(32).resizeSize(32).patchSize(8).embedDim(24).depth(2).heads(3)
                .srsHeads(3).outDim(64).headHiddenDim(32).headBottleneckDim(16);
    }

    static Model model(Context context) {
        return new Model(context, sizes(), 1);
    }

    static ViewConfig crops() {
        return new ViewConfig().globalSize(32).localSize(16).patchSize(8).localCrops(2).globalWindow(2).localWindow(1);
    }

    static Views views(Context context, List<Image> images, int epoch) {
        return new Views(context, crops(), images, 7, epoch, 0);
    }
}

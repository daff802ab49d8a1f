// Trains a small model on images in memory, saves and loads it, and extracts cls tokens: examples/train.c in Java.
//     javac -cp jna.jar:libudi.jar -d . Train.java && java -cp jna.jar:libudi.jar:. Train
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import org.libudi.Context;
import org.libudi.Image;
import org.libudi.Model;
import org.libudi.ModelConfig;
import org.libudi.Role;
import org.libudi.Tensor;
import org.libudi.TrainConfig;
import org.libudi.Trainer;
import org.libudi.ViewConfig;
import org.libudi.Views;

class Train {
    static final int IMAGES = 32;
    static final int SIDE = 32;
    static final int STEPS = 60;

    /** Stripes of many colours, widths and directions. */
    static Image draw(int n) {
        byte[] pixels = new byte[SIDE * SIDE * 3];
        for (int i = 0; i < pixels.length; ++i) {
            int c = i % 3;
            int x = i / 3 % SIDE;
            int y = i / 3 / SIDE;
            boolean stripe = (x * (n % 5) + y * (n % 3 + 1)) / (n % 4 + 3) % 2 == 1;
            pixels[i] = (byte) (stripe ? 50 * (n % 6) : 80 * c);
        }
        return Image.pixels(pixels, SIDE, SIDE, 3);
    }

    static Model train(Context context, List<Image> images) {
        ModelConfig sizes = new ModelConfig("vit_tiny").imageSize(SIDE).resizeSize(SIDE).patchSize(8).embedDim(48).depth(3)
                .outDim(256).headHiddenDim(256);
        TrainConfig recipe = new TrainConfig().totalSteps(STEPS).lr(2e-3)
                .momentumTeacher(0.9).momentumTeacherEnd(0.9) // so few steps need a teacher that follows fast
                .teacherTemp(0.03).warmupTeacherTemp(0.03);
        ViewConfig crops = new ViewConfig().globalSize(SIDE).localSize(SIDE / 2).patchSize(8);
        try (Model start = new Model(context, sizes, 0); Trainer trainer = new Trainer(start, recipe)) {
            for (int epoch = 0; epoch < STEPS; ++epoch) { // one step an epoch, each with new crops of all images
                try (Views views = new Views(context, crops, images, 0, epoch, 0)) {
                    System.out.printf("step %2d  loss %.4f%n", epoch, trainer.step(views).loss());
                }
            }
            return trainer.model(Role.TEACHER);
        }
    }

    public static void main(String[] arguments) {
        List<Image> images = IntStream.range(0, IMAGES).mapToObj(Train::draw).toList();
        Path path = Path.of("model.safetensors");
        try (Context context = new Context()) { // the CPU; nothing is logged
            try (Model teacher = train(context, images)) {
                teacher.save(path);
            }
            try (Model model = Model.load(context, path, Role.TEACHER); Tensor cls = model.extract(images, null)) {
                System.out.printf("cls of %d images, %d numbers each%n", cls.shape()[0], cls.shape()[1]);
            }
        }
    }
}

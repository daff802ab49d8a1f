// Trains a small model on images in memory, saves and loads it, and extracts cls tokens.
//     mcs -unsafe Native.cs Udi.cs Example.cs && mono Native.exe
using System;
using System.IO;
using Udi;

static unsafe class Example
{
    const int Count = 16, Side = 32, Steps = 20;
    static Error error;

    static void Check(int status)
    {
        fixed (Error* detail = &error) Library.Check(status, detail);
    }

    static void Draw(byte* pixels) // stripes of many colours, widths and directions
    {
        for (int i = 0; i < Count * Side * Side * 3; ++i)
        {
            int c = i % 3, x = i / 3 % Side, y = i / 3 / Side % Side, n = i / 3 / Side / Side;
            bool stripe = (x * (n % 5) + y * (n % 3 + 1)) / (n % 4 + 3) % 2 == 1;
            pixels[i] = (byte)(stripe ? 50 * (n % 6) : 80 * c);
        }
    }

    static ModelHandle Train(ContextHandle context, Image* images, Error* detail)
    {
        ModelConfig sizes;
        TrainConfig training;
        ViewConfig crops;
        ModelHandle model, teacher;
        TrainerHandle trainer;
        Check(Native.udi_model_config_init(&sizes, (UIntPtr)sizeof(ModelConfig), "vit_tiny", detail));
        sizes.image_size = sizes.resize_size = Side;
        sizes.patch_size = 8;
        sizes.embed_dim = 48;
        sizes.depth = 3;
        sizes.out_dim = sizes.head_hidden_dim = 256;
        Check(Native.udi_model_create(context, &sizes, 0, out model, detail));
        Native.udi_train_config_init(&training, (UIntPtr)sizeof(TrainConfig));
        training.total_steps = Steps;
        training.lr = 2e-3;
        Check(Native.udi_trainer_create(context, model, &training, out trainer, detail));
        Native.udi_view_config_init(&crops, (UIntPtr)sizeof(ViewConfig));
        crops.global_size = Side;
        crops.local_size = Side / 2;
        crops.patch_size = 8;
        for (int epoch = 0; epoch < Steps; ++epoch) // one step an epoch, each with new crops of all images
        {
            ViewsHandle views;
            StepStats stats = new StepStats { struct_size = (uint)sizeof(StepStats) };
            Check(Native.udi_views_create(context, &crops, images, Count, 0, epoch, 0, out views, detail));
            using (views)
            {
                Check(Native.udi_trainer_step(trainer, new[] { views.DangerousGetHandle() }, 1, &stats, detail));
            }
            Console.WriteLine("step {0,2}  loss {1:F4}", epoch, stats.loss);
        }
        Check(Native.udi_trainer_model(trainer, Native.UDI_TEACHER, out teacher, detail));
        return teacher;
    }

    static void Main()
    {
        ContextHandle context;
        ModelHandle model;
        TensorHandle batch, tokens;
        Image* images = stackalloc Image[Count];
        byte[] pixels = new byte[Count * Side * Side * 3];
        string path = Path.GetTempFileName();
        fixed (byte* memory = pixels)
        fixed (Error* detail = &error)
        {
            Draw(memory);
            for (int n = 0; n < Count; ++n)
            {
                images[n] = new Image
                {
                    struct_size = (uint)sizeof(Image), dtype = Native.UDI_U8, height = Side, width = Side, channels = 3,
                    data = (IntPtr)(memory + n * Side * Side * 3), size = Side * Side * 3
                };
            }
            Check(Native.udi_context_create(null, out context, detail)); // the CPU; nothing is logged
            Check(Native.udi_model_save(Train(context, images, detail), path, detail));
            Check(Native.udi_model_load(context, path, Native.UDI_TEACHER, out model, detail));
            File.Delete(path);

            Udi.Array array = new Udi.Array { struct_size = (uint)sizeof(Udi.Array) };
            Check(Native.udi_model_prepare(model, images, Count, out batch, detail));
            Check(Native.udi_tensor_view(batch, &array, detail));
            Check(Native.udi_model_extract(model, &array, Native.UDI_NCHW, null, out tokens, detail));
            Check(Native.udi_tensor_view(tokens, &array, detail));
            long* shape = (long*)array.shape;
            Console.WriteLine("cls of {0} images, {1} numbers each, the first {2:F4}", shape[0], shape[1],
                              *(float*)array.data);
        }
    }
}
